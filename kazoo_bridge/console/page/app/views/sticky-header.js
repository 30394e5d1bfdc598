/** The height of the page's header, for what sticks below it while a view scrolls. */

/** Keep the property `--sticky-top` of the document up to date; returns a function that ends this. */
export function followHeader() {
  const header = document.querySelector(".app-header");
  const root = document.documentElement;
  const update = () => {
    const isSticky = header !== null && getComputedStyle(header).position === "sticky";
    root.style.setProperty("--sticky-top", `${isSticky ? header.offsetHeight : 0}px`);
  };
  const observer = new ResizeObserver(update);
  if (header !== null) observer.observe(header);
  update();
  return () => observer.disconnect();
}
