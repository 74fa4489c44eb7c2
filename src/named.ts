/**
 * An object whose keys are names that others have chosen. It inherits nothing, so that a queue named `constructor` has no function for its
 * count, and `__proto__` is a name like any other.
 */
export const named = <Value>(): Record<string, Value> => Object.create(null) as Record<string, Value>
