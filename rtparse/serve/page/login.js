// The page that asks for the token of the server, unless the address brings it: https://HOST/#token=TOKEN

import { request } from "./api.js";

const form = document.getElementById("login");
const field = document.getElementById("token");
const error = document.getElementById("login-error");

async function offer(token) {
  const body = JSON.stringify({ token });
  await request("api/session", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  location.replace("./");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  error.textContent = "";
  try {
    await offer(field.value.trim());
  } catch (problem) {
    error.textContent = problem.status === 401 ? "This is not the token of this server." : problem.message;
    field.select();
  }
});

const brought = new URLSearchParams(location.hash.slice(1)).get("token");
if (brought !== null) {
  history.replaceState(null, "", "./"); // not for the next person who looks at the address
  offer(brought).catch(() => (error.textContent = "The token in the address is not that of this server."));
} else {
  // After a link from elsewhere the cookie was not sent; from here on it is.
  request("api/session").then(() => location.replace("./"), () => {});
}
