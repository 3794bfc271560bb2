/** One text for a namespace and a key; the separator cannot occur in a namespace. */
export const keyOf = (namespace: string, key: string): string => `${namespace}\u0000${key}`
