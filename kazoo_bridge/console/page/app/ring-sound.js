/** The sound of a ringing call: two short tones, made by the browser. */

const TONES = [
  [660, 0],
  [880, 0.18],
];
const TONE_S = 0.16;
const VOLUME = 0.15;

let context = null;

/**
 * Play it once. Browsers allow sounds only after the user has used the page; resolves to whether it was heard.
 */
export async function playRingSound() {
  const AudioContext = globalThis.AudioContext;
  if (!AudioContext) return false;
  context ??= new AudioContext();
  // Without a gesture of the user this stays pending, so it is not awaited.
  if (context.state === "suspended") context.resume().catch(() => {});
  if (context.state !== "running") return false;
  for (const [frequency, delay] of TONES) {
    const [oscillator, gain] = [context.createOscillator(), context.createGain()];
    const start = context.currentTime + delay;
    oscillator.frequency.value = frequency;
    gain.gain.setValueAtTime(VOLUME, start);
    gain.gain.exponentialRampToValueAtTime(0.001, start + TONE_S);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(start);
    oscillator.stop(start + TONE_S);
  }
  return true;
}
