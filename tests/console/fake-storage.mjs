/** A fake of the storages of a browser. */

export class FakeStorage {
  constructor() {
    this.items = new Map();
  }

  getItem(key) {
    return this.items.get(key) ?? null;
  }

  setItem(key, value) {
    if (this.isFull) throw new Error("the quota is exceeded");
    this.items.set(key, String(value));
  }
}

/** Install a fresh local storage, and return it. */
export function installStorage() {
  globalThis.localStorage = new FakeStorage();
  return globalThis.localStorage;
}
