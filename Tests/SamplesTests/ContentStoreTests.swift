import Foundation
import Testing

@testable import Samples

private let fingerprint = [UInt8](repeating: 5, count: 32)

/// A file in a folder of its own, removed with its owner.
private final class StoreFile {
  let folder = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  var path: String { folder + "/store" }

  init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: folder) }

  var bytes: [UInt8] {
    get { (try? Data(contentsOf: URL(fileURLWithPath: path))).map(Array.init) ?? [] }
    set {
      // Written over: some file systems flush a file that is emptied and written again, which takes its time.
      let descriptor = Foundation.open(path, O_RDWR | O_CREAT, 0o600)
      #expect(pwrite(descriptor, newValue, newValue.count, 0) == newValue.count)
      #expect(ftruncate(descriptor, off_t(newValue.count)) == 0)
      close(descriptor)
    }
  }

  func open(_ fingerprint: [UInt8] = fingerprint, maximumBytes: Int = 1 << 20) throws -> ContentStore {
    try ContentStore(path: path, fingerprint: fingerprint, maximumBytes: maximumBytes)
  }
}

private func source(_ index: Int) -> [UInt8] { Array("picture \(index)".utf8) }

private func head(_ index: Int) -> [UInt8] { (0..<24).map { UInt8($0 + index) } }

/// Some of it compresses, some does not.
private func body(_ index: Int) -> [UInt8] {
  var random = UInt64(index + 1)
  return (0..<300 + 50 * index).map { place in
    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return place % 3 == 0 ? UInt8(random >> 56) : 7
  }
}

private func add(_ index: Int, to store: ContentStore) -> String? {
  body(index).withUnsafeBytes { store.add(ContentKey(of: source(index)), head: head(index), body: $0) }
}

private func expected(_ index: Int) -> ContentStore.Finding {
  .content(ContentStore.Content(head: head(index), body: body(index)))
}

private func found(_ index: Int, in store: ContentStore) -> ContentStore.Finding {
  store.find(ContentKey(of: source(index)))
}

@Test func whatIsKeptIsFoundAgain() throws {
  let file = try StoreFile()
  do {
    let store = try file.open()
    for index in 0..<5 { #expect(add(index, to: store) == nil) }
    for index in 0..<5 { #expect(found(index, in: store) == expected(index)) }
    #expect(found(5, in: store) == .nothing)
  }
  let size = file.bytes.count
  let store = try file.open()
  #expect(store.notes == [])
  for index in 0..<5 { #expect(found(index, in: store) == expected(index)) }
  // A key that is there is not kept twice.
  #expect(add(2, to: store) == nil && file.bytes.count == size)
  #expect(add(5, to: store) == nil && found(5, in: store) == expected(5))
}

@Test func anotherFingerprintKindOrVersionIsRefused() throws {
  let file = try StoreFile()
  _ = add(0, to: try file.open())
  let whole = file.bytes
  #expect {
    try file.open([UInt8](repeating: 6, count: 32))
  } throws: {
    "\($0)".contains("made by another model") && "\($0)".contains("delete it")
  }
  file.bytes[8] = 2
  #expect { try file.open() } throws: { "\($0)".contains("expected version 1") }
  file.bytes = whole
  file.bytes[45] ^= 1
  #expect { try file.open() } throws: { "\($0)".contains("its beginning is damaged") }
  file.bytes = Array("a text of mine, and no store at all, of sixty bytes or more".utf8)
  #expect { try file.open() } throws: { "\($0)".contains("another kind of file") }
  #expect(String(decoding: file.bytes, as: UTF8.self).hasPrefix("a text of mine"))
  #expect(throws: ContentStoreFailure.self) {
    try ContentStore(path: file.folder, fingerprint: fingerprint, maximumBytes: 1)
  }
  #expect(throws: ContentStoreFailure.self) {
    try ContentStore(path: "/dev/null", fingerprint: fingerprint, maximumBytes: 1)
  }
}

@Test func aTornEndIsDroppedAtEveryByte() throws {
  let file = try StoreFile()
  var ends: [Int] = []
  do {
    let store = try file.open()
    for index in 0..<3 {
      _ = add(index, to: store)
      ends.append(file.bytes.count)
    }
  }
  let whole = file.bytes
  for length in 0..<whole.count {
    file.bytes = Array(whole[..<length])
    let store = try file.open()
    #expect(store.notes == [])
    for index in 0..<3 {
      #expect(found(index, in: store) == (ends[index] <= length ? expected(index) : .nothing), "cut at \(length)")
    }
    for index in 0..<3 { _ = add(index, to: store) }
    #expect(file.bytes == whole, "cut at \(length)")
  }
}

@Test func aDamagedByteCostsOneEntryWhereverItIs() throws {
  let file = try StoreFile()
  do {
    let store = try file.open()
    for index in 0..<3 { _ = add(index, to: store) }
  }
  let whole = file.bytes
  for place in 48..<whole.count {
    file.bytes[place] ^= 0x10
    do {
      let store = try file.open()
      let lost = (0..<3).filter { found($0, in: store) != expected($0) }
      #expect(lost.count == 1, "byte \(place)")
      #expect(store.notes.count <= 1)
      for index in lost { _ = add(index, to: store) }
    }
    let store = try file.open()
    #expect(store.notes == [], "byte \(place): it is met a second time")
    for index in 0..<3 { #expect(found(index, in: store) == expected(index), "byte \(place)") }
    file.bytes = whole
  }
}

@Test func theFileStaysWithinItsBound() throws {
  let file = try StoreFile()
  let store = try file.open(maximumBytes: 900)
  let notes = (0..<6).compactMap { add($0, to: store) }
  #expect(notes.count == 1 && notes[0].contains("it has the 900 bytes that it may have"))
  #expect(file.bytes.count <= 900 && file.bytes.count > 200)
  #expect(found(0, in: store) == expected(0) && found(5, in: store) == .nothing)
}

@Test func aSecondOwnerReadsAlone() throws {
  let file = try StoreFile()
  var first: ContentStore? = try file.open()
  if let first { _ = add(0, to: first) }
  let second = try file.open()
  #expect(second.notes.count == 1 && second.notes[0].contains("another run adds to it"))
  let size = file.bytes.count
  #expect(add(1, to: second) == nil && file.bytes.count == size)
  #expect(found(0, in: second) == expected(0) && found(1, in: second) == .nothing)
  first = nil
  let third = try file.open()
  #expect(third.notes == [])
  _ = add(1, to: third)
  #expect(found(1, in: third) == expected(1))
}
