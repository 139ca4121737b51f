import Foundation
import JSON
import Pipeline
import Testing

/// Prompts of the reference that share a system line, a penalty and a length: one run of a pipe.
private struct Group: Hashable {
  let system: String?
  let penalty: Double
  let maximumTokens: Int
}

/// Where a prompt's picture comes from; `skip` where it lies in a folder that is not here.
enum PictureSource {
  case image([UInt8]), text, skip

  init(_ image: JSONValue?, photos: [String: [UInt8]]) throws {
    guard let image, !image.isNull else {
      self = .text
      return
    }
    if let file = image["file"]?.string {
      self = .image(try read(Place.root + "/" + file))
    } else if let shared = Place.sharedData, let file = image["torture"]?.string {
      self = .image(try read(shared + "/torture/" + file))
    } else if let bytes = photos[image["member"]?.string ?? ""] {
      self = .image(bytes)
    } else {
      self = .skip
    }
  }
}

/// Members of the photographs' tar by path: read with tar's own layout, not with the code under test.
func photographs() throws -> [String: [UInt8]] {
  guard let shared = Place.sharedData else { return [:] }
  let tar = try read(shared + "/photos.tar")
  var photos: [String: [UInt8]] = [:]
  var at = 0
  while at + 512 <= tar.count, tar[at] != 0 {
    let name = String(decoding: tar[at..<at + 100].prefix { $0 != 0 }, as: UTF8.self)
    let size = Int(String(decoding: tar[at + 124..<at + 135], as: UTF8.self), radix: 8) ?? 0
    photos[name] = Array(tar[at + 512..<at + 512 + size])
    at += 512 + (size + 511) / 512 * 512
  }
  return photos
}

/// What the reference answered, and a model that must answer the same.
private struct Reference: CustomTestStringConvertible {
  let name: String
  /// Arguments of the pipe's model.
  let model: String
  var testDescription: String { "\(name): \(model.split(separator: "/").last ?? "")" }

  private static let models = Place.root + "/Tests/Fixtures/models/"

  private static func folder(_ name: String, _ path: String? = nil) -> Reference {
    Reference(name: name, model: "path=\"\(path ?? models + name)\"")
  }

  /// Files that hold the values of their checkpoints to the bit.
  private static func gguf(_ name: String, _ language: String, _ vision: String) -> Reference {
    Reference(
      name: name, model: "path=\"\(models)gguf/\(language).gguf\" vision=\"\(models)gguf/\(vision).gguf\"")
  }

  static let all = [
    folder("qwen25vl-hub", Place.target), folder("qwen25vl-v5"), folder("gemma3-hub"), folder("gemma3-v5"),
    folder("llava-hub"), folder("llava-v5"), gguf("qwen25vl-hub", "qwen2vl-text", "qwen2vl-mmproj"),
    gguf("gemma3-hub", "gemma3-text", "gemma3-mmproj"), gguf("llava-hub", "llava-text", "llava-mmproj"),
    gguf("llava-hub", "llava-text", "llava-mmproj-legacy"),
  ]
}

@Test(arguments: Reference.all) private func answersToPicturesEqualTheReference(reference: Reference) throws {
  let name = reference.name
  let photos = try photographs()
  let text = try String(contentsOfFile: Place.root + "/Tests/Fixtures/expected/\(name).jsonl", encoding: .utf8)
  var groups: [Group: [(JSONValue, [UInt8]?)]] = [:]
  var skipped = 0
  for line in try text.split(separator: "\n").map({ try JSONValue(parsing: Array($0.utf8)) }) {
    let group = Group(
      system: line["system"]?.string, penalty: try #require(line["repetition_penalty"]?.double),
      maximumTokens: try #require(line["max_new_tokens"]?.int))
    switch try PictureSource(line["image"], photos: photos) {
    case .image(let bytes): groups[group, default: []].append((line, bytes))
    case .text: groups[group, default: []].append((line, nil))
    case .skip: skipped += 1
    }
  }
  var pictures = 0
  for (group, cases) in groups {
    try compare(cases, group, reference.model)
    pictures += cases.filter { $0.1 != nil }.count
  }
  print(
    "\(reference.testDescription): \(pictures) pictures compared with the reference from their files on; \(skipped) are not here"
  )
  #expect(pictures >= 21)
}

private func compare(_ cases: [(JSONValue, [UInt8]?)], _ group: Group, _ model: String) throws {
  let scratch = try Scratch()
  let shard = try scratch.shard(
    "cases.tar",
    cases.map { line, image in
      var members: [(String, [UInt8])] = image.map { [("jpg", $0)] } ?? []
      var prompt = JSONWriter()
      prompt.object { writer in
        writer.key("question")
        writer.string(line["prompt"]?.string ?? "")
      }
      members.append(("json", prompt.bytes))
      return (line["id"]?.string ?? "", members)
    })
  let system = group.system.map { "system=\"\($0.replacing("\n", with: "\\n"))\"" } ?? ""
  let meter = Meter()
  try run(
    """
    let m = model \(model)
    read shards="\(shard)" | decode | encode model=m | prompt model=m field=json.question \(system)
    | generate model=m temperature=0 repetition-penalty=\(group.penalty) max-tokens=\(group.maximumTokens)
    | emit fields=[key, text, token_ids, width, height] path="\(scratch.file("out.jsonl"))"
    """, meter: meter)
  let lines = try scratch.lines(of: "out.jsonl")
  #expect(lines.count == cases.count)
  for (found, (line, image)) in zip(lines, cases) {
    let id = line["id"]?.string ?? ""
    #expect(found["key"]?.string == id)
    #expect(found["error"] == nil, "\(id): \(found["error"]?["message"]?.string ?? "")")
    #expect(found["token_ids"]?.array?.compactMap(\.int) == line["tokens"]?.array?.compactMap(\.int), "\(id)")
    #expect(found["text"]?.string == line["text"]?.string, "\(id)")
    if image != nil {
      #expect([found["width"]?.int, found["height"]?.int] == line["rgb_size"]?.array?.map(\.int), "\(id)")
    }
  }
}
