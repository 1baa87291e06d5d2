// Requests to the server, whose refusals become errors in its own words.

export class ServerError extends Error {
  /** status: of HTTP; 0 when the server did not answer. code: the server's word for it. */
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The answer to a request. Raises ServerError for every answer that is not a success. */
export async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer.");
  }
  if (!answer.ok) throw refusal(answer.status, await answer.text());
  return answer;
}

/**
 * Send a file and read the JSON that answers it. progress(share): of it that has been sent, 0..1.
 * Raises ServerError, and an AbortError once `signal` is aborted.
 */
export function upload(path, file, { progress, signal } = {}) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest(); // fetch does not tell how much has been sent
    sending.open("POST", path);
    // The browser's guess from the file's name may be empty or odd: the server looks into the file.
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.upload.onprogress = (event) => event.lengthComputable && progress?.(event.loaded / event.total);
    sending.onerror = () => reject(new ServerError("The connection was lost while the file was being sent."));
    sending.onabort = () => reject(new DOMException("The upload was cancelled.", "AbortError"));
    sending.onload = () => {
      if (sending.status >= 200 && sending.status < 300) resolve(JSON.parse(sending.responseText));
      else reject(refusal(sending.status, sending.responseText));
    };
    signal?.addEventListener("abort", () => sending.abort());
    sending.send(file);
  });
}

/** What the server said of a problem, as sentences. */
export function words({ got, expected }) {
  return `The server got ${got}; expected: ${expected}.`;
}

function refusal(status, text) {
  try {
    const { error } = JSON.parse(text);
    return new ServerError(words(error), status, error.code);
  } catch {
    return new ServerError(`The server answered with status ${status}.`, status);
  }
}
