/** How the page looks in this browser: theme and density. `early-appearance.js` applies them to a new page. */

import { preference, setPreference } from "./preferences.js";

/** The values of each setting; the first is the default. */
export const APPEARANCE = { theme: ["system", "light", "dark"], density: ["comfortable", "compact"] };

/** Return the value of a setting. */
export function appearance(setting) {
  const value = preference(setting, null);
  return APPEARANCE[setting].includes(value) ? value : APPEARANCE[setting][0];
}

/** Choose the value of a setting, at once and for later pages. */
export function setAppearance(setting, value) {
  setPreference(setting, value);
  document.documentElement.setAttribute(`data-${setting}`, value);
}
