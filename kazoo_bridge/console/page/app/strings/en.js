/** The texts in English, assembled from one module for each part of the page. */

import calls from "./en/calls.js";
import common from "./en/common.js";
import events from "./en/events.js";
import shell from "./en/shell.js";
import webhooks from "./en/webhooks.js";

export default Object.freeze({ ...common, ...calls, ...events, ...shell, ...webhooks });
