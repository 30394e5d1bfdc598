/** What is around the views: navigation, header, connection, settings, sign-in. */

export default {
  "app.name": "Vermittlungskonsole",
  "app.skip": "Zum Inhalt",
  "app.views": "Ansichten",
  "app.signOut": "Abmelden",
  "app.signedIn": "Angemeldet bei {account}",
  "app.switched": "Gewechselt zu {account}",
  "app.serverUnreachable": "Der Server ist nicht erreichbar. Neuer Versuch…",
  "app.failedHooks": "{count} aus",
  "app.failedHooksHint": "Deaktiviert, weil ihre Empfänger versagen",

  "view.calls": "Anrufe",
  "view.parking": "Geparkt",
  "view.events": "Ereignisse",
  "view.webhooks": "Webhooks",
  "view.sockets": "Sockets",
  "view.account": "Konto",

  "connection.connecting": "Verbinden…",
  "connection.live": "Live",
  "connection.offline": "Offline",
  "connection.noSwitch": "Keine Anlage",
  "connection.embedded": "Ohne Broker",
  "connection.embeddedHint":
    "Der Server hat einen eigenen Bus, daher kommen keine Ereignisse von KAZOO an. Um ihn zu verbinden, amqp.uri auf" +
    " KAZOOs Broker setzen.",
  "connection.reconnected": "Wieder verbunden und aktuell",
  "connection.switchBanner":
    "Der Server hat die Verbindung zur Anlage verloren. Anrufe werden mit dem Stand von {time} gezeigt, und Befehle" +
    " schlagen fehl. Die Seite erholt sich von selbst.",
  "connection.never": "Noch nicht mit dem Server verbunden.",
  "connection.offlineSince": "Offline: Die Daten sind von {time}.",
  "connection.reason": "Grund: {reason}.",
  "connection.retryNow": "Jetzt versuchen",
  "connection.retryIn": "Neuer Versuch in {seconds} s.",
  "connection.retrying": "Neuer Versuch…",
  "connection.notSubscribed": "{binding} kann nicht abonniert werden: {reason}",

  "switcher.switch": "Konto {account}, wechseln",
  "switcher.title": "Konto wechseln",
  "switcher.list": "Konten",
  "switcher.search": "Konten nach Name, Realm oder ID suchen",
  "switcher.searchHint": "Name, Realm oder ID",
  "switcher.count": { one: "{count} Konto", other: "{count} Konten" },
  "switcher.first": "{total}, die ersten {shown} werden gezeigt",
  "switcher.cannotList": "Die Konten können nicht geladen werden: {reason}",

  "settings.title": "Einstellungen",
  "settings.theme": "Farben",
  "settings.theme.system": "System",
  "settings.theme.light": "Hell",
  "settings.theme.dark": "Dunkel",
  "settings.density": "Dichte",
  "settings.density.comfortable": "Bequem",
  "settings.density.compact": "Kompakt",
  "settings.language": "Sprache (lädt die Seite neu)",
  "settings.shortcuts": "Tastenkürzel mit einer Taste",
  "settings.hint": "Gilt in diesem Browser.",

  "help.title": "Tastenkürzel",
  "help.everywhere": "Überall",
  "help.calls": "In der Tabelle der Anrufe",
  "help.search": "suchen",
  "help.toResults": "von der Suche zu den Ergebnissen",
  "help.help": "diese Hilfe",
  "help.escape": "Dialog schließen, Suche leeren",
  "help.toggle": "Einzelne Tasten überall (gilt in diesem Browser)",

  "signIn.title": "Anmelden",
  "signIn.about":
    "Sehen und steuern Sie die Anrufe Ihres KAZOO-Kontos, und was Ihre Anwendungen davon erhalten.",
  "signIn.calls": "Anrufe",
  "signIn.callsDetail": "Halten, parken, verbinden und auflegen, während sie geschehen",
  "signIn.webhooks": "Webhooks",
  "signIn.webhooksDetail": "Versuche mit Anfrage und Antwort, Wiederholungen, erneutes Senden",
  "signIn.events": "Ereignisse und Sockets",
  "signIn.eventsDetail": "Jedes Ereignis des Kontos, und wer zuhört",
  "signIn.with": "Anmelden mit",
  "signIn.token": "Token",
  "signIn.apiKey": "API-Schlüssel",
  "signIn.submit": "Anmelden",
  "signIn.where": "Woher bekomme ich ein Token oder einen API-Schlüssel?",
  "signIn.whereOperator": "Der Betreiber dieses Servers legt sie für ein Konto an:",
  "signIn.whereKazoo":
    "Wo der Server mit KAZOO verbunden ist, gilt der API-Schlüssel Ihres KAZOO-Kontos, und auch ein Token, das KAZOO" +
    " ausgestellt hat.",
  "signIn.stored":
    "Ein Token wird gespeichert, bis Sie diesen Tab schließen. Ein API-Schlüssel wird nicht gespeichert.",
  "signIn.invalidToken": "Ungültiges Token: vertippt, abgelaufen oder widerrufen.",
  "signIn.invalidKey": "Ungültiger API-Schlüssel: vertippt, abgelaufen oder widerrufen.",
  "signIn.failed": "Die Anmeldung ist fehlgeschlagen: {reason}.",
  "signIn.signedOut": "Sie wurden abgemeldet: {reason}.",
  "signIn.keyInvalid": "Der API-Schlüssel gilt nicht mehr",
  "signIn.expired": "Das Token ist abgelaufen oder wurde widerrufen",
  "signIn.keyIsGone":
    "Die Anmeldung ist abgelaufen oder wurde widerrufen. Sie wurde nicht erneuert, weil die Seite neu geladen wurde," +
    " seit Sie den API-Schlüssel eingegeben haben, und der Schlüssel nicht gespeichert wird",
};
