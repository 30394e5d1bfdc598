/** The texts in English, assembled from one module for each part of the page. */

import calls from "./en/calls.js";
import cockpit from "./en/cockpit.js";
import people from "./en/people.js";

export default Object.freeze({ ...calls, ...cockpit, ...people });
