extension SourceText {
  /// The ```pipe blocks of a Markdown text, each with the rest of the text blanked, so that lines keep their numbers.
  package static func pipeBlocks(ofMarkdown source: SourceText) -> [SourceText] {
    var blocks: [SourceText] = []
    var current: [UInt8]?
    var blank: [UInt8] = []
    for line in source.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      let text = String(decoding: line, as: UTF8.self)
      let words = text.drop { $0 == " " }.split(whereSeparator: \.isWhitespace)
      let isFence = words.first?.hasPrefix("```") == true
      if isFence, let block = current {
        blocks.append(SourceText(name: source.name, bytes: block))
        current = nil
      } else if isFence, words.first == "```pipe" {
        current = blank
        current?.append(UInt8(ascii: "\n"))
      } else if current != nil {
        current?.append(contentsOf: line)
        current?.append(UInt8(ascii: "\n"))
      }
      blank.append(UInt8(ascii: "\n"))
    }
    if let block = current { blocks.append(SourceText(name: source.name, bytes: block)) }
    return blocks
  }
}
