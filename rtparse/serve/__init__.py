"""A server over HTTP: a page in the browser and a JSON API. Needs the extra `serve`.

api.py is the JSON API alone, for a server of one's own: `api_app(parser)`, or `api_router(parser)` to mount it.
app.py is the whole of `rtparse serve`: the API, the page, the server's sources, the visitor's camera.
"""
