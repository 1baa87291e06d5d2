// Quantities in words.

export function megabytes(bytes) {
  const mega = bytes / 2 ** 20;
  return `${mega < 10 ? mega.toFixed(1) : Math.round(mega)} MB`;
}

/** seconds in words: "8 s", "2 min 5 s". */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  return minutes ? `${minutes} min${rest ? ` ${rest} s` : ""}` : `${rest} s`;
}

/** A share in words: "12 %", "0.4 %". */
export function percent(share) {
  const hundredths = 100 * share;
  if (hundredths === 0) return "0 %";
  return hundredths < 0.1 ? "< 0.1 %" : `${hundredths.toFixed(hundredths < 9.95 ? 1 : 0)} %`;
}

/** What a machine said, as a sentence. */
export function sentence(text) {
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
