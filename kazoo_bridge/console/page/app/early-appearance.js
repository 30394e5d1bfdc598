/**
 * Applies theme and density before the first paint: without it, a dark page would begin with a white flash.
 * Not a module, because modules run after it; the names are those of `preferences.js` and `appearance.js`.
 */

for (const setting of ["theme", "density"]) {
  try {
    const value = JSON.parse(localStorage.getItem(`kazoo-bridge-console.${setting}`));
    if (value) document.documentElement.setAttribute(`data-${setting}`, value);
  } catch {
    // The browser stores nothing: the defaults apply.
  }
}
