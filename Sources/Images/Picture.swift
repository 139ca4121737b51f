import CCodecs
import CKernels
import Foundation

/// A picture that could not be read: what was expected and what was found.
package struct PictureError: Error, Sendable, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }
}

/// How pixels are resampled; the raw values are Pillow's and those of processor files.
package enum Resampling: Int32, Sendable {
  case lanczos = 1
  case bilinear = 2
  case bicubic = 3
}

/// Upright 8-bit RGB pixels, row after row.
package struct Picture: Sendable {
  package let width: Int
  package let height: Int
  /// width * height * 3 bytes.
  package let rgb: [UInt8]

  package init(width: Int, height: Int, rgb: [UInt8]) {
    precondition(rgb.count == width * height * 3, "pixels do not fill the picture")
    self.width = width
    self.height = height
    self.rgb = rgb
  }

  /// The same picture at another size, with Pillow's bytes.
  package func resized(width newWidth: Int, height newHeight: Int, _ resampling: Resampling) -> Picture {
    if newWidth == width, newHeight == height { return self }
    let pixels = [UInt8](unsafeUninitializedCapacity: newWidth * newHeight * 3) { buffer, count in
      let status = mp_resize_rgb(rgb, width, height, buffer.baseAddress, newWidth, newHeight, resampling.rawValue)
      precondition(status == 0, "out of memory")
      count = buffer.count
    }
    return Picture(width: newWidth, height: newHeight, rgb: pixels)
  }
}

extension Picture {
  /// A part of the picture; it lies within it.
  package func cropped(top: Int, left: Int, height newHeight: Int, width newWidth: Int) -> Picture {
    if newWidth == width, newHeight == height { return self }
    var pixels: [UInt8] = []
    pixels.reserveCapacity(newWidth * newHeight * 3)
    for row in top..<top + newHeight {
      let start = (row * width + left) * 3
      pixels.append(contentsOf: rgb[start..<start + newWidth * 3])
    }
    return Picture(width: newWidth, height: newHeight, rgb: pixels)
  }
}

/// The kinds of picture files that are read, told apart by their first bytes.
package enum PictureFormat: String, Sendable, CaseIterable {
  case jpeg = "JPEG"
  case png = "PNG"
  case webp = "WebP"

  /// Field names of a sample under which pictures are looked for, in this order.
  package static let fields = ["jpg", "jpeg", "png", "webp"]

  /// What a file's first bytes say, whatever its name says.
  package init?(_ bytes: [UInt8]) {
    if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else if bytes.count >= 12, bytes.starts(with: "RIFF".utf8), bytes[8..<12].elementsEqual("WEBP".utf8) {
      self = .webp
    } else {
      return nil
    }
  }
}

extension Picture {
  /// Pixels that a picture may have unless the pipe says otherwise: Pillow's own limit.
  package static let defaultMaximumPixels = 89_478_485

  /// Decodes a JPEG, PNG or WebP file: EXIF orientation applied, transparency laid on white, 8 bits RGB.
  ///
  /// Pixels are those of Pillow's `convert("RGB")`, JPEG's within the rounding of another inverse transform.
  package init(decoding bytes: [UInt8], maximumPixels: Int = defaultMaximumPixels) throws(PictureError) {
    guard let format = PictureFormat(bytes) else {
      let start = bytes.prefix(4).map { String($0, radix: 16) }.joined(separator: " ")
      throw PictureError(
        bytes.isEmpty
          ? "expected a JPEG, PNG or WebP file, found no bytes"
          : "expected a JPEG, PNG or WebP file, found one that begins with the bytes \(start)")
    }
    var raw = mp_picture()
    var message = [CChar](repeating: 0, count: Int(MP_MESSAGE_SIZE))
    let decode = format == .jpeg ? mp_decode_jpeg : format == .png ? mp_decode_png : mp_decode_webp
    guard decode(bytes, bytes.count, maximumPixels, &raw, &message) == 0, let pixels = raw.pixels else {
      let reason = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      throw PictureError("\(format.rawValue): \(String(decoding: reason, as: UTF8.self))")
    }
    defer { free(pixels) }
    self = Self.upright(raw, pixels)
  }

  private static func upright(_ raw: mp_picture, _ pixels: UnsafeMutablePointer<UInt8>) -> Picture {
    let count = raw.width * raw.height
    // White first: turning moves whole pixels, so the order does not matter, and RGB is less to move.
    if raw.channels == 4 { mp_lay_on_white(pixels, pixels, count) }
    let turns = raw.orientation >= 5
    let rgb = [UInt8](unsafeUninitializedCapacity: count * 3) { buffer, filled in
      if raw.orientation > 1, let out = buffer.baseAddress {
        mp_orient(pixels, raw.width, raw.height, raw.orientation, out)
      } else {
        buffer.baseAddress?.update(from: pixels, count: count * 3)
      }
      filled = count * 3
    }
    return Picture(width: turns ? raw.height : raw.width, height: turns ? raw.width : raw.height, rgb: rgb)
  }
}
