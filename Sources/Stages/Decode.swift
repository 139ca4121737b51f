import Images
import Pipeline

/// `decode`: the record's picture file into upright RGB pixels, a few records ahead of whoever asks for them.
enum Decode {
  static let definition = StageDefinition(
    StageDeclaration(
      "decode", .link, "a JPEG, PNG or WebP member into upright RGB pixels",
      reads: [Field.members.name], uses: [Field.sampling.name],
      writes: [Field.image.name, "width", "height", "sha256"],
      parameters: [
        ParameterDeclaration("field", .text, optional: true, "the member to decode; else jpg, jpeg, png or webp"),
        ParameterDeclaration(
          "max-pixels", .integer(1...(1 << 32)), default: "\(Picture.defaultMaximumPixels)",
          "pixels that a picture may have"),
        ParameterDeclaration("read-ahead", .integer(0...256), default: "4", "pictures decoded ahead"),
      ])
  ) { inputs, context throws(RunFailure) in
    let named = inputs.arguments.optionalText("field")?.lowercased()
    let fields = named.map { [$0] } ?? PictureFormat.fields
    let limit = inputs.arguments.integer("max-pixels")
    let work = SharedWork()
    let stage = Transform("decode", upstream: inputs.upstream, meter: context.meter) {
      record throws(StageFailure) in
      try decode(&record, fields, limit, work)
      if let named, record[Field.imageFacts] == nil {
        throw StageFailure(stage: "decode", message: "expected a .\(named) member, found none")
      }
    }
    let ahead = inputs.arguments.integer("read-ahead")
    return ahead == 0 ? stage : ReadAhead(stage, records: ahead, bytes: 256 << 20, context: context)
  }

  /// A record without a picture passes: it is a plain text prompt.
  private static func decode(
    _ record: inout Record, _ fields: [String], _ limit: Int, _ work: SharedWork
  ) throws(StageFailure) {
    for field in fields {
      guard let bytes = record.bytes(of: field) else { continue }
      let name = "\(record.originalKey).\(field)"
      let started = ContinuousClock.now
      let picture = try record.oncePerPicture(work) { () throws(StageFailure) in
        do { return try Picture(decoding: bytes, maximumPixels: limit) } catch {
          throw StageFailure(stage: "decode", message: "\(name): \(error)")
        }
      }
      record[Field.image] = picture
      record[Field.imageFacts] = ImageFacts(
        width: picture.width, height: picture.height, field: field,
        seconds: (ContinuousClock.now - started) / .seconds(1))
      record.footprint += picture.rgb.count
      return
    }
  }
}
