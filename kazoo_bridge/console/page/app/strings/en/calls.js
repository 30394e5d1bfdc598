/** Live calls. */

export default {
  "state.ringing": "Ringing",
  "state.answered": "Talking",
  "state.held": "On hold",
  "state.parked": "Parked",
  "state.parkedIn": "Parked in {slot}",
  "state.ended": "Ended",

  "direction.inbound": "Inbound",
  "direction.outbound": "Outbound",
  "direction.internal": "Internal",

  "party.unknown": "unknown",
  "party.pair": "{caller} to {callee}",

  "calls.title": "Live calls",
};
