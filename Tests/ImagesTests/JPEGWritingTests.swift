import Images
import Testing

private func picture(_ width: Int, _ height: Int) -> Picture {
  let rgb = (0..<width * height).flatMap { at -> [UInt8] in
    let (x, y) = (at % width, at / width)
    return [UInt8(x * 255 / max(1, width - 1)), UInt8(y * 255 / max(1, height - 1)), UInt8(128)]
  }
  return Picture(width: width, height: height, rgb: rgb)
}

@Test(arguments: [(1, 1), (17, 9), (96, 96), (640, 211)], [ChromaSampling.full, .halved])
func picturesComeBackFromTheirJPEG(size: (Int, Int), sampling: ChromaSampling) throws {
  let original = picture(size.0, size.1)
  let file = try original.jpeg(quality: 95, sampling: sampling)
  #expect(try original.jpeg(quality: 95, sampling: sampling) == file)
  let decoded = try Picture(decoding: file)
  #expect(decoded.width == size.0 && decoded.height == size.1)
  let error = zip(decoded.rgb, original.rgb).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
  #expect(error < 4 * original.rgb.count)
  if size.0 == 640 {
    #expect(try original.jpeg(quality: 20, sampling: sampling).count < file.count)
    #expect(try original.jpeg(quality: 1000, sampling: sampling) == original.jpeg(quality: 100, sampling: sampling))
  }
}

@Test func whatNoJPEGCanHoldIsAnError() {
  #expect(throws: PictureError.self) {
    try Picture(width: 70_000, height: 1, rgb: [UInt8](repeating: 0, count: 210_000)).jpeg(quality: 80)
  }
  #expect(throws: PictureError.self) { try Picture(width: 0, height: 0, rgb: []).jpeg(quality: 80) }
}
