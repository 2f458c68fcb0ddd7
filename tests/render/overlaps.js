// Gives pairs of texts that overlap as they are seen: [text, text, width, height].
() => {
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.data.trim() || !node.parentElement.checkVisibility({ visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (let { left, right, top, bottom } of range.getClientRects()) {
      for (let parent = node.parentElement; parent; parent = parent.parentElement) {
        if (getComputedStyle(parent).overflow === "visible") continue;
        const box = parent.getBoundingClientRect();
        [left, right] = [Math.max(left, box.left), Math.min(right, box.right)];
        [top, bottom] = [Math.max(top, box.top), Math.min(bottom, box.bottom)];
      }
      // The box of a font is higher than its letters are.
      const spare = (bottom - top) * 0.2;
      if (right - left > 1 && bottom - top > 2) seen.push([left, right, top + spare, bottom - spare, node]);
    }
  }
  seen.sort((one, other) => one[2] - other[2]);
  const found = [];
  for (let at = 0; at < seen.length; at += 1) {
    const [left, right, top, bottom, node] = seen[at];
    for (let next = at + 1; next < seen.length && seen[next][2] < bottom; next += 1) {
      const [from, to, , end, other] = seen[next];
      const width = Math.min(right, to) - Math.max(left, from);
      const height = Math.min(bottom, end) - seen[next][2];
      if (other !== node && width > 1 && height > 1) found.push([node.data, other.data, width, height]);
    }
  }
  return found;
}
