/** What several parts of the page share: charts, dialogs, lists, copying. */

export default {
  "common.name": "Name",
  "common.state": "Zustand",
  "common.loading": "Wird geladen…",
  "common.close": "Schließen",
  "common.cancel": "Abbrechen",
  "common.save": "Speichern",
  "common.create": "Anlegen",
  "common.edit": "Bearbeiten",
  "common.delete": "Löschen",
  "common.copy": "Kopieren",
  "common.copyIt": "{what} kopieren",
  "common.copied": "{what} kopiert",
  "common.noCopying": "Der Browser erlaubt kein Kopieren: Kopieren Sie den ausgewählten Text mit Strg+C",
  "common.dismiss": "Ausblenden",
  "common.showMore": "Mehr anzeigen",
  "common.cannotList": "Die Liste kann nicht geladen werden: {reason}.",

  "common.never": "nie",

  "error.timeout": "der Server hat nicht rechtzeitig geantwortet",
  "error.unreachable": "der Server ist nicht erreichbar",
  "error.notConnected": "nicht mit dem Server verbunden",
  "error.noReply": "der Server hat nicht rechtzeitig geantwortet",
  "error.connectionLost": "die Verbindung ging verloren; der Befehl wurde vielleicht ausgeführt, vielleicht nicht",
  "error.browserRefuses": "der Browser verweigert die Verbindung zu {url}",

  "dialog.discard": "Änderungen verwerfen?",
  "dialog.discardDetail": "Was Sie eingegeben haben, ist nicht gespeichert.",
  "dialog.discardIt": "Verwerfen",

  "chart.label": "{title}: {summary}; höchstens {max} auf einmal",
  "chart.now": "jetzt",
  "chart.minutes": { one: "{count} min", other: "{count} min" },
  "chart.seconds": { one: "{count} s", other: "{count} s" },
};
