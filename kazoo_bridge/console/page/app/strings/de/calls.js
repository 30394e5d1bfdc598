/** Live calls. */

export default {
  "state.ringing": "Klingelt",
  "state.answered": "Im Gespräch",
  "state.held": "Gehalten",
  "state.parked": "Geparkt",
  "state.parkedIn": "Geparkt auf {slot}",
  "state.ended": "Beendet",

  "direction.inbound": "Eingehend",
  "direction.outbound": "Ausgehend",
  "direction.internal": "Intern",

  "party.unknown": "unbekannt",
  "party.pair": "{caller} an {callee}",

  "calls.title": "Anrufe",
};
