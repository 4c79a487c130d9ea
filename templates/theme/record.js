// Theme switch, sortable tables, copying, contents that fold and follow. The record reads without it.
(() => {
  const page = document;
  const root = page.documentElement;
  const main = page.getElementById("main");
  const theme = page.getElementById("theme");
  const isDark = () =>
    root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => {
    theme.textContent = isDark() ? theme.dataset.light : theme.dataset.dark;
  };
  theme.hidden = false;
  label();
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });

  const contents = page.querySelector(".toc details");
  if (contents && matchMedia("(max-width: 1000px)").matches) contents.open = false;
  const links = new Map(
    [...page.querySelectorAll(".toc a")].map((link) => [link.getAttribute("href").slice(1), link]),
  );
  const watch = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links
          .get(entry.target.getAttribute("aria-labelledby"))
          ?.setAttribute("aria-current", "location");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  for (const section of page.querySelectorAll("main section")) watch.observe(section);

  // A link to something that is folded away opens it.
  const reveal = () => {
    const target = page.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (
      let fold = target?.closest("details");
      fold;
      fold = fold.parentElement?.closest("details")
    ) {
      fold.open = true;
    }
  };
  addEventListener("hashchange", reveal);
  reveal();

  const copy = async (text, button) => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = main.dataset.copied;
      setTimeout(() => {
        button.textContent = main.dataset.copy;
      }, 1500);
    } catch {
      button.hidden = true;
    }
  };
  const copyButton = (textOf) => {
    const button = page.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = main.dataset.copy;
    button.addEventListener("click", () => copy(textOf(), button));
    return button;
  };
  for (const block of page.querySelectorAll("pre.cmd")) {
    block.after(copyButton(() => block.textContent.trim()));
  }
  for (const command of page.querySelectorAll(".facts dd.m code")) {
    command.after(copyButton(() => command.textContent.trim()));
  }
  for (const table of page.querySelectorAll("table.t.wide")) {
    const rows = () =>
      [...table.rows]
        .filter((row) => !row.classList.contains("why"))
        .map((row) =>
          [...row.cells].map((cell) => cell.innerText.replaceAll(/\s+/g, " ").trim()).join("\t"),
        )
        .join("\n");
    table.closest(".block")?.querySelector(".cap")?.append(copyButton(rows));
  }

  for (const table of page.querySelectorAll("table.sort")) {
    const heads = [...table.tHead.querySelectorAll("th:not([scope=colgroup])")];
    for (const head of heads) {
      const button = page.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(table, heads, head));
    }
  }

  /** Column of a head in the body: heads of two rows stand where their left edge is. */
  function columnOf(table, head) {
    const cells = [...table.tBodies[0].rows[0].cells];
    const { left, right } = head.getBoundingClientRect();
    const middle = (left + right) / 2;
    return cells.findIndex((cell) => {
      const box = cell.getBoundingClientRect();
      return box.left <= middle && middle < box.right + 0.5;
    });
  }

  function sortBy(table, heads, head) {
    const column = columnOf(table, head);
    if (column < 0) return;
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const sortValueOf = (body) => {
      const cell = body.rows[0].cells[column];
      const text = cell.dataset.s ?? cell.textContent.trim();
      const number = Number(text.replaceAll(",", ""));
      return text === "" ? undefined : Number.isNaN(number) ? text : number;
    };
    const compare = (a, b) => {
      if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1;
      const order =
        typeof a === "number" && typeof b === "number"
          ? a - b
          : String(a).localeCompare(String(b), root.lang, { numeric: true });
      return rising ? order : -order;
    };
    const bodies = [...table.tBodies].sort((a, b) => compare(sortValueOf(a), sortValueOf(b)));
    table.append(...bodies);
  }
})();
