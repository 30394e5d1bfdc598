/** The texts in German, assembled from one module for each part of the page. */

import calls from "./de/calls.js";
import cockpit from "./de/cockpit.js";
import commands from "./de/commands.js";
import common from "./de/common.js";
import events from "./de/events.js";
import people from "./de/people.js";
import pivot from "./de/pivot.js";
import shell from "./de/shell.js";
import webhooks from "./de/webhooks.js";

export default Object.freeze({ ...common, ...calls, ...cockpit, ...commands, ...events, ...people, ...pivot, ...shell, ...webhooks });
