/// The known name nearest to a misspelt one, for `did you mean …`.
///
/// - Returns: nil where nothing is within a third of the name's length in edits (adjacent swaps count as one).
package func nearestName(to name: String, among known: some Sequence<String>) -> String? {
  let limit = max(1, name.count / 3)
  var best: (name: String, distance: Int)?
  for candidate in known where abs(candidate.count - name.count) <= max(limit, 3) {
    let distance = editDistance(Array(name.lowercased().prefix(64)), Array(candidate.lowercased().prefix(64)))
    let isPrefix = name.count >= 3 && candidate.hasPrefix(name)
    if distance <= limit || isPrefix, distance < best?.distance ?? .max { best = (candidate, distance) }
  }
  return best?.name
}

/// `did you mean "…"?`, or the whole list where nothing is near and the list is short.
package func suggestion(for name: String, among known: [String]) -> String? {
  if let near = nearestName(to: name, among: known) { return "did you mean \"\(near)\"?" }
  return known.isEmpty || known.count > 24 ? nil : "known: " + known.joined(separator: " ")
}

/// Damerau–Levenshtein distance (optimal string alignment).
private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  var rows = [Array(0...b.count)]
  for i in 0..<a.count {
    var row = [i + 1]
    for j in 0..<b.count {
      var cost = min(row[j] + 1, rows[i][j + 1] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, rows[i - 1][j - 1] + 1) }
      row.append(cost)
    }
    rows.append(row)
  }
  return rows[a.count][b.count]
}
