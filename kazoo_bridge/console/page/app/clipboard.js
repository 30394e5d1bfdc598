/** Copies text to the clipboard. */

/**
 * Copy a text; resolves to whether that succeeded. `select()` selects the text on the page: browsers offer
 * their clipboard only to pages loaded over https or from this host, and others copy what is selected.
 */
export async function copyText(text, select) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // The user or the browser has refused; a selection may be copied all the same.
  }
  select();
  return document.execCommand("copy");
}
