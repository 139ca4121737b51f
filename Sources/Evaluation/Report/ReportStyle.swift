/// How the page looks, on screens and on paper.
enum ReportStyle {
  static let sheet: StaticString = """

    :root { color-scheme: light; }
    body { margin: 0 auto; padding: 1.5rem 1.5rem 3rem; max-width: 68rem; background: #fff; color: #1a1a1a;
      font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif; }
    h1 { font-size: 1.6rem; margin: 0 0 .6rem; }
    h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; padding-top: .8rem; border-top: 1px solid #ccc; }
    p, figcaption { margin: .3rem 0 .8rem; max-width: 56rem; }
    figure { margin: 0; }
    dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; margin: 0; }
    dt { color: #555; }
    dd { margin: 0; overflow-wrap: anywhere; unicode-bidi: isolate; }
    .wide { overflow-x: auto; }
    table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; width: 100%; }
    th, td { padding: .12rem .55rem; text-align: right; white-space: nowrap; }
    thead th { border-bottom: 1.5px solid #333; vertical-align: bottom; white-space: normal; font-weight: 600; }
    tbody td { border-bottom: 1px solid #e4e4e4; }
    .group th { text-align: left; padding-top: .9rem; border-bottom: 1px solid #999; unicode-bidi: isolate; }
    th.words, td.words { text-align: left; }
    small { color: #555; font-size: .82em; }
    .panels { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: flex-start; }
    .panel { flex: 0 1 31rem; min-width: 0; }
    svg.plot { display: block; width: 100%; height: auto; }
    svg text { font-size: 12px; fill: #333; }
    svg .plot-title { font-weight: 600; font-size: 13px; fill: #111; }
    svg .on-plot { paint-order: stroke; stroke: #fff; stroke-width: 3px; stroke-linejoin: round; }
    svg .grid { stroke: #e6e6e6; fill: none; }
    svg .axis { stroke: #444; fill: none; stroke-width: 1.2px; }
    .legend { list-style: none; margin: .1rem 0 .6rem; padding: 0; display: flex; flex-wrap: wrap; gap: .1rem 1.2rem;
      font-size: .85em; }
    .legend li { display: flex; align-items: center; gap: .4rem; }
    .sample { flex: none; }
    article { display: grid; grid-template-columns: 11rem 1fr 1fr; gap: 1rem 1.4rem; padding: 1rem 0;
      border-bottom: 1px solid #e4e4e4; }
    article p { margin: .2rem 0; overflow-wrap: anywhere; unicode-bidi: isolate; }
    .picture { font-size: .85rem; }
    .picture img { display: block; max-width: 11rem; max-height: 11rem; border: 1px solid #ccc; }
    .asked { color: #555; }
    .tokens { white-space: pre-wrap; line-height: 1.9; overflow-wrap: anywhere; }
    .tokens.key { white-space: normal; }
    .drafted { background: #e3f1dc; border: 1px solid #7fae6c; border-bottom: 2.5px solid #3d7a26; border-radius: 3px;
      padding: 0 1px; margin: 0 1px; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
    .own { padding: 0 1px; }
    @media screen and (max-width: 50rem) { article { grid-template-columns: 1fr; } }
    @page { size: A4; margin: 14mm; }
    @media print {
      body { padding: 0; max-width: none; font-size: 9.5pt; }
      table { font-size: 7.5pt; }
      th, td { padding: .1rem .3rem; }
      .wide { overflow: visible; }
      thead { display: table-header-group; }
      h2, figcaption, .legend, .group, .key { break-after: avoid; }
      figcaption, tr, .key, .panel, article { break-inside: avoid; }
      .legend, small, .picture { font-size: .85em; }
      .picture img { max-width: 8rem; max-height: 8rem; }
      article { grid-template-columns: 8rem 1fr 1fr; gap: .6rem 1rem; padding: .6rem 0; }
      .tokens { line-height: 1.7; }
      .panels { display: block; }
      .panel { display: inline-block; width: 48%; margin: 0 1% .8rem 0; vertical-align: top; }
      .drafted, svg { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
    }

    """
}
