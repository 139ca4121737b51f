import CArchive
import Foundation

/// Writes a WebDataset tar with fixed owner, mode and time: the same samples give the same bytes.
package final class TarWriter {
  private let archive: OpaquePointer?
  private var bytes: [UInt8] = []

  package init() {
    // Names are handed over in the C library's encoding: as UTF-8, libarchive would compose their letters and accents.
    TarMembers.setLocale()
    archive = archive_write_new()
    archive_write_set_format_pax_restricted(archive)
    archive_write_set_bytes_per_block(archive, 0)
    archive_write_set_bytes_in_last_block(archive, 1)
    let this = Unmanaged.passUnretained(self).toOpaque()
    archive_write_open(
      archive, this, nil,
      { _, context, buffer, count in
        guard let context, let buffer else { return -1 }
        let bytes = UnsafeRawBufferPointer(start: buffer, count: count)
        Unmanaged<TarWriter>.fromOpaque(context).takeUnretainedValue().bytes.append(contentsOf: bytes)
        return count
      }, nil)
  }

  deinit { archive_write_free(archive) }

  /// The bytes of one sample's members, headers included. Behind an error, the archive cannot be gone on with.
  package func sample(key: String, members: [SampleMember]) throws(ShardProblem) -> [UInt8] {
    for member in members {
      let entry = archive_entry_new()
      defer { archive_entry_free(entry) }
      let path = key + "." + member.field
      archive_entry_set_pathname(entry, path)
      archive_entry_set_size(entry, Int64(member.bytes.count))
      archive_entry_set_filetype(entry, UInt32(S_IFREG))
      archive_entry_set_perm(entry, 0o644)
      archive_entry_set_mtime(entry, 0, 0)
      let written = member.bytes.withUnsafeBytes { content in
        archive_write_header(archive, entry) >= ARCHIVE_WARN
          && (content.isEmpty || archive_write_data(archive, content.baseAddress, content.count) == content.count)
          && archive_write_finish_entry(archive) == ARCHIVE_OK
      }
      guard written else {
        throw ShardProblem(description: "member \(path): cannot be written: \(archiveMessage(archive))")
      }
    }
    return taken()
  }

  /// The end-of-archive marker.
  package func end() -> [UInt8] {
    archive_write_close(archive)
    return taken()
  }

  private func taken() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }
}
