/** The operator console begins here: somebody signs in, or has signed in already, and works with one account at a time. */

import { Console } from "./console.js";
import { say, sayProblem } from "./saying.js";
import { forget, keep, restored } from "./session.js";
import { SignIn } from "./views/sign-in.js";

const root = document.getElementById("app");
const settings = await loadSettings();
let running = null;

/** Settings are needed to begin at all, so this goes on until they are there. */
async function loadSettings() {
  for (;;) {
    try {
      const response = await fetch("settings.json", {
        cache: "no-store",
        signal: AbortSignal.timeout(10000),
      });
      if (response.ok) return await response.json();
    } catch {
      // The server is away: it is tried again below.
    }
    root.textContent = "The server cannot be reached. Trying again…";
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

function show(view) {
  running?.dispose();
  running = view;
  root.replaceChildren(view.element);
}

function signIn(reason = "") {
  forget();
  const view = new SignIn((session) => {
    keep(session);
    work(session);
    say(`Signed in to ${session.account.name}`);
  });
  show(view);
  view.focus();
  if (reason) sayProblem(reason);
}

function work(session) {
  const console_ = new Console(session, settings, {
    signOut: signIn,
    switchAccount: (account) => {
      // One webhook is of one account: the other's are shown in its place.
      history.replaceState(null, "", location.hash.split("/").slice(0, 2).join("/") || "#/");
      const moved = { ...session, account };
      keep(moved);
      work(moved);
      say(`Now showing ${account.name}`);
    },
  });
  show(console_);
  console_.begin();
}

const session = restored();
if (session) work(session);
else signIn();
