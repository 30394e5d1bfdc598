/** The texts in English, assembled from one module for each part of the page. */

import calls from "./en/calls.js";
import cockpit from "./en/cockpit.js";
import commands from "./en/commands.js";
import common from "./en/common.js";
import events from "./en/events.js";
import people from "./en/people.js";
import pivot from "./en/pivot.js";
import shell from "./en/shell.js";
import webhooks from "./en/webhooks.js";

export default Object.freeze({ ...common, ...calls, ...cockpit, ...commands, ...events, ...people, ...pivot, ...shell, ...webhooks });
