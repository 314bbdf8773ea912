// Rows of cells as RFC 4180 has them.
function csvOf(table) {
  const quoted = ({ textContent: text }) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return Array.from(table.rows, (row) => Array.from(row.cells, quoted).join(",") + "\r\n").join("");
}

// Every table has a button that downloads it.
function offerTables() {
  for (const region of document.querySelectorAll(".table")) {
    const name = region.getAttribute("aria-label");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "download";
    button.textContent = "Download as CSV";
    button.setAttribute("aria-label", `Download as CSV: ${name}`);
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([csvOf(region.querySelector("table"))], { type: "text/csv" }));
      link.download = `${name.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href));
    });
    region.after(button);
  }
}
