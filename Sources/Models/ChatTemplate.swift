import JSON
import Tensors

/// The chat template that a model folder holds: where transformers look for it, in their order.
enum ChatTemplate {
  /// The file and the text; of several templates the one that is named "default". nil where there is none.
  static func find(_ folder: String) -> (file: String, text: String)? {
    let jinja = folder + "/chat_template.jinja"
    // Mapped, since what is no regular file is not to be waited for.
    if let file = try? MappedFile(path: jinja) {
      return withExtendedLifetime(file) { (jinja, String(decoding: file.bytes.prefix(1 << 20), as: UTF8.self)) }
    }
    for name in ["chat_template.json", "processor_config.json", "tokenizer_config.json"] {
      let settings = try? ConfigReader.optional(path: folder + "/" + name)
      if let text = settings?.json["chat_template"].flatMap(text) { return (folder + "/" + name, text) }
    }
    return nil
  }

  private static func text(_ value: JSONValue) -> String? {
    let named = value.array?.first { $0["name"]?.string == "default" }
    return value.string ?? named?["template"]?.string
  }
}
