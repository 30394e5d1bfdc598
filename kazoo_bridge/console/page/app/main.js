/** Entry point: shows the sign-in page or, with a session, the console for one account. */

import { Console } from "./console.js";
import { ignoreHeldKeys } from "./held-keys.js";
import * as sessions from "./session.js";
import { notify } from "./toasts.js";
import { SignIn } from "./views/sign-in.js";

const SETTINGS_TIMEOUT_MS = 10000;
const SETTINGS_RETRY_DELAY_MS = 2000;

ignoreHeldKeys(document);
const root = document.getElementById("app");
const settings = await loadSettings();
let current = null;

/** Load the settings of this installation. Retries for ever: the console cannot start without them. */
async function loadSettings() {
  for (;;) {
    try {
      const signal = AbortSignal.timeout(SETTINGS_TIMEOUT_MS);
      const response = await fetch("settings.json", { cache: "no-store", signal });
      if (response.ok) return await response.json();
    } catch {
      // The server is unreachable; the loop retries.
    }
    root.textContent = "The server is unreachable. Retrying…";
    await new Promise((resolve) => setTimeout(resolve, SETTINGS_RETRY_DELAY_MS));
  }
}

function show(view) {
  current?.dispose();
  current = view;
  root.replaceChildren(view.element);
}

function showSignIn(reason = "") {
  sessions.clear();
  const view = new SignIn((session, signInAgain) => {
    sessions.save(session);
    showConsole(session, signInAgain);
    notify(`Signed in to ${session.account.name}`);
  }, reason);
  show(view);
  view.focus();
}

function showConsole(session, signInAgain = null) {
  const callbacks = {
    onSignOut: showSignIn,
    onRenewed: sessions.save,
    onSwitchAccount: (account) => {
      // A webhook belongs to one account, so its page becomes the list of the other account's webhooks.
      history.replaceState(null, "", location.hash.split("/").slice(0, 2).join("/") || "#/");
      const switched = { ...view.session, account };
      sessions.save(switched);
      showConsole(switched, signInAgain);
      notify(`Switched to ${account.name}`);
    },
  };
  const view = new Console(session, settings, callbacks, signInAgain);
  show(view);
  view.start();
}

const session = sessions.load();
if (session) showConsole(session);
else showSignIn();
