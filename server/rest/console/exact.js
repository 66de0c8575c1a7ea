// JSON whose whole numbers keep every digit: a number of this language has 53 bits, an id or an int64 has 64.

const WHOLE = /^-?\d+$/;

/**
 * Parse JSON; a whole number that would be rounded is kept as it was written, and written again so.
 * Throws a RangeError for one in a browser that cannot keep it.
 */
export function parseExactly(text) {
  return JSON.parse(text, (_, value, context) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    if (context === undefined) return Number.isInteger(value) ? refuse(value) : value;
    return WHOLE.test(context.source) ? JSON.rawJSON(context.source) : value;
  });
}

function refuse(value) {
  throw new RangeError(`this browser rounds whole numbers beyond ${Number.MAX_SAFE_INTEGER}, as ${value}; write an id in quotes`);
}

/** A number that was kept as it was written, as text; undefined for everything else. */
export function digits(value) {
  return JSON.isRawJSON?.(value) ? value.rawJSON : undefined;
}
