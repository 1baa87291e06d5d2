// Quantities in words.

export function megabytes(bytes) {
  const mega = bytes / 2 ** 20;
  return `${mega < 10 ? mega.toFixed(1) : Math.round(mega)} MB`;
}

export function tooLarge(bytes, most) {
  return `It has ${megabytes(bytes)}; the server takes ${megabytes(most)} at most.`;
}

/** seconds in words: "8 s", "2 min 5 s". */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  return minutes ? `${minutes} min${rest ? ` ${rest} s` : ""}` : `${rest} s`;
}

/** A share in hundredths: "12", "0.4", "<0.1". */
export function hundredths(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return "<0.1";
  return value.toFixed(value < 9.95 && value > 0 ? 1 : 0);
}

/** milliseconds in words: "85 ms", "1.2 s". */
export function latency(ms) {
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${Number((ms / 1000).toFixed(1))} s`;
}

/** What a machine said, as a sentence. */
export function sentence(text) {
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
