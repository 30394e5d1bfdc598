/** The texts in English, assembled from one module for each part of the page. */

import calls from "./en/calls.js";

export default Object.freeze({ ...calls });
