/** The title and the icon of the page, which show how many calls ring. */

const MAX_COUNT = 9;

let title = "";
let count = 0;

/** Set the title of the page without the count. */
export function setTitle(text) {
  title = text;
  show();
}

/** Set how many calls ring. */
export function setRingingCount(number) {
  if (number === count) return;
  count = number;
  show();
}

function show() {
  document.title = count ? `(${count}) ${title}` : title;
  const icon = document.querySelector("link[rel=icon]");
  const href = iconOf(count);
  if (icon && icon.getAttribute("href") !== href) icon.setAttribute("href", href);
}

/** Return the icon for a number of ringing calls. The original one may have a revision in its URL. */
function iconOf(number) {
  const original = (originalIcon ??= document.querySelector("link[rel=icon]")?.getAttribute("href"));
  return number ? `icons/ringing-${number > MAX_COUNT ? "more" : number}.svg` : original;
}

let originalIcon;
