/// What a pax header says, as it stands there: "LENGTH KEY=VALUE\n" for each record, each as long as it says.
enum PaxRecords {
  /// The path, the last one of several; nil where there is none that is UTF-8.
  static func path(in content: [UInt8]) -> String? {
    var (rest, path) = (content[...], String?.none)
    while let space = rest.firstIndex(of: 0x20),
      let length = Int(String(decoding: rest[..<space], as: UTF8.self)), length > space - rest.startIndex + 1,
      length <= rest.count
    {
      let record = rest[(space + 1)..<(rest.startIndex + length - 1)]
      if record.starts(with: Array("path=".utf8)) { path = String(validating: record.dropFirst(5), as: UTF8.self) }
      rest = rest[(rest.startIndex + length)...]
    }
    return path
  }
}
