// Numbers as people say them.
import { t } from "./language.js";

/** 74 -> "1 min 14 s"; "" where it is not known. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 10) return t`${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return t`${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 10) return t`${minutes} min ${whole % 60} s`;
  if (minutes < 60) return t`${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? t`${hours} h ${minutes % 60} min` : t`${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** 3200000000 -> "3.2 GB". */
export function bytes(number) {
  if (!Number.isFinite(number)) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = number < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(number) / 3));
  const value = number / 1000 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** Three digits that matter: 0.6931 -> "0.693", 1234 -> "1234". */
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)) return value.toExponential(1);
  return String(Number(value.toPrecision(Math.abs(value) >= 1000 ? 4 : 3)));
}

/** 0.7 -> "70 %". */
export function percent(share) {
  return Number.isFinite(share) ? `${Math.round(100 * share)} %` : "–";
}

/** A difference of shares in points of a hundred, with its sign: 0.55 -> "+55". */
export function points(value) {
  return `${value > 0 ? "+" : value < 0 ? "\u2212" : "\u00b1"}${Math.abs(Math.round(100 * value))}`;
}

/** A score or SSR: always two digits, with a sign where it can be negative. */
export function score(value, signed = false) {
  if (!Number.isFinite(value)) return "–";
  return `${signed && value > 0 ? "+" : ""}${value.toFixed(2).replace("-", "\u2212")}`; // a real minus
}
