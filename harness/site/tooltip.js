// Tooltips with exact values, for the element under the pointer or with the focus.

const tips = new WeakMap();

/** Add a tooltip to an element; its text is computed when shown. */
function tip(element, text) {
  tips.set(element, text);
  return element;
}

function startTips() {
  const box = byId("tip");
  let owner = null;
  const hide = () => {
    if (owner) owner.removeAttribute("aria-describedby");
    owner = null;
    box.hidden = true;
  };
  const show = (element) => {
    hide();
    if (!element) return;
    owner = element;
    box.textContent = tips.get(element)();
    (element.closest("dialog") || document.body).append(box); // an open dialog covers everything outside it
    box.hidden = false;
    element.setAttribute("aria-describedby", "tip");
    const at = element.getBoundingClientRect();
    const own = box.getBoundingClientRect();
    const above = at.top - own.height - 6;
    box.style.top = `${above > 4 ? above : at.bottom + 6}px`;
    box.style.left = `${Math.max(4, Math.min(at.left + at.width / 2 - own.width / 2, innerWidth - own.width - 4))}px`;
  };
  const find = (node) => {
    while (node && node !== document && !tips.has(node)) node = node.parentNode;
    return node && tips.has(node) ? node : null;
  };
  document.addEventListener("mouseover", (event) => show(find(event.target)));
  document.addEventListener("focusin", (event) => show(find(event.target)));
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, true);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
}
