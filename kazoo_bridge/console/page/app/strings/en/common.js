/** What several parts of the page share: charts, dialogs, lists, copying. */

export default {
  "common.name": "Name",
  "common.state": "State",
  "common.loading": "Loading…",
  "common.close": "Close",
  "common.cancel": "Cancel",
  "common.save": "Save",
  "common.create": "Create",
  "common.edit": "Edit",
  "common.delete": "Delete",
  "common.copy": "Copy",
  "common.copyIt": "Copy {what}",
  "common.copied": "{what} copied",
  "common.noCopying": "The browser does not allow copying: copy the selected text with Ctrl+C",
  "common.dismiss": "Dismiss",
  "common.showMore": "Show more",
  "common.cannotList": "Cannot load the list: {reason}.",

  "common.never": "never",

  "error.timeout": "the request timed out",
  "error.unreachable": "the server is unreachable",
  "error.notConnected": "not connected to the server",
  "error.noReply": "the server did not reply in time",
  "error.connectionLost": "the connection was lost; the command may or may not have been executed",
  "error.browserRefuses": "the browser refuses to connect to {url}",

  "dialog.discard": "Discard your changes?",
  "dialog.discardDetail": "What you have entered is not saved.",
  "dialog.discardIt": "Discard",

  "chart.label": "{title}: {summary}; at most {max} at a time",
  "chart.now": "now",
  "chart.minutes": { one: "{count} min", other: "{count} min" },
  "chart.seconds": { one: "{count} s", other: "{count} s" },
};
