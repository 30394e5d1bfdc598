/** Entry point: shows the sign-in page or, with a session, the console for one account. */

import { h } from "./dom.js";
import { ignoreHeldKeys } from "./held-keys.js";
import * as sessions from "./session.js";
import { language, t } from "./strings.js";
import { notify, notifyError } from "./toasts.js";
import { SignIn } from "./views/sign-in.js";

const SETTINGS_TIMEOUT_MS = 10000;
const SETTINGS_RETRY_DELAY_MS = 2000;

ignoreHeldKeys(document);
document.documentElement.lang = language;
document.title = t("app.name");
const root = document.getElementById("app");
let current = null;
const settingsLoaded = loadSettings();

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
    if (!current) root.replaceChildren(h("p", { class: "loading", role: "status" }, t("app.serverUnreachable")));
    await new Promise((resolve) => setTimeout(resolve, SETTINGS_RETRY_DELAY_MS));
  }
}

function show(view) {
  current?.dispose();
  current = view;
  root.replaceChildren(view.element);
}

function showSignIn(reason = "") {
  const view = new SignIn(async (session, signInAgain) => {
    sessions.save(session);
    await showConsole(session, signInAgain);
    notify(t("app.signedIn", { account: session.account.name }));
  }, reason);
  show(view);
  // After the end of the console, which saves at its end.
  sessions.clear();
  view.focus();
}

/** Load the console itself: not needed to sign in, so that page does not wait for it. */
async function loadConsole() {
  for (;;) {
    try {
      return (await import("./console.js")).Console;
    } catch (error) {
      // Only a module that could not be loaded: another error is one of the page, and would come again.
      if (!(error instanceof TypeError)) throw error;
      notifyError(t("app.serverUnreachable"));
      await new Promise((resolve) => setTimeout(resolve, SETTINGS_RETRY_DELAY_MS));
    }
  }
}

async function showConsole(session, signInAgain = null) {
  const [Console, settings] = await Promise.all([loadConsole(), settingsLoaded]);
  const callbacks = {
    onSignOut: showSignIn,
    onRenewed: sessions.save,
    onSwitchAccount: async (account) => {
      // A webhook belongs to one account, so its page becomes the list of the other account's webhooks.
      history.replaceState(null, "", location.hash.split("/").slice(0, 2).join("/") || "#/");
      const switched = { ...view.session, account };
      sessions.save(switched);
      await showConsole(switched, signInAgain);
      notify(t("app.switched", { account: account.name }));
    },
  };
  const view = new Console(session, settings, callbacks, signInAgain);
  show(view);
  view.start();
}

const session = sessions.load();
if (session) await showConsole(session);
else showSignIn();
