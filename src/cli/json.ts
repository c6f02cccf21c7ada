// What --json prints: bigints as numbers where JavaScript's are exact, as text beyond.
export const toJson = (value: unknown, indent?: number): string =>
  JSON.stringify(
    value,
    (_, field: unknown) => {
      if (typeof field !== 'bigint') return field;
      return field <= BigInt(Number.MAX_SAFE_INTEGER) && field >= BigInt(Number.MIN_SAFE_INTEGER)
        ? Number(field)
        : field.toString();
    },
    indent,
  );
