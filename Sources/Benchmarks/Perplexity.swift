import Foundation
import Models
import Tensors

/// Perplexity of a real text under a real model (MODEL, TEXT), computed in each format, beside that in f32.
func benchmarkPerplexity() throws {
  let environment = ProcessInfo.processInfo.environment
  guard let path = environment["MODEL"], let text = environment["TEXT"] else {
    return print("perplexity: MODEL and TEXT name no files")
  }
  let engine = Engine(threads: ProcessInfo.processInfo.activeProcessorCount)
  var reference: Double?
  for format in [WeightFormat.f32, nil, .q8, .q4] {
    let model = try TargetModel(ModelFiles(path: path, format: format, engine: engine))
    let tokens = Array(model.tokenizer.encode(try String(contentsOfFile: text, encoding: .utf8)).prefix(16_384))
    let start = model.tokenizer.encodePrompt("").first
    var loss = 0.0
    var count = 0
    for first in stride(from: 0, to: tokens.count, by: 511) {
      let window = (start.map { [$0] } ?? []) + tokens[first..<min(tokens.count, first + 511)]
      loss += negativeLogLikelihood(window, model.language, engine)
      count += window.count - 1
    }
    let perplexity = exp(loss / Double(count))
    let beside = reference.map { ", \(formatted(100 * (perplexity / $0 - 1), 3)) % beside f32" } ?? ""
    reference = reference ?? perplexity
    print("perplexity \(format?.rawValue ?? "stored"): \(formatted(perplexity, 4)) over \(count) tokens\(beside)")
  }
}

/// Σ −log p of every token but the first, in nats.
private func negativeLogLikelihood(_ tokens: [Int32], _ language: any LanguageModel, _ engine: Engine) -> Double {
  let span = DecoderSpan(
    cache: language.configuration.makeCache(capacity: tokens.count), positions: tokens.indices.map { Position($0) })
  let hidden = language.hiddenStates(language.embed(tokens), spans: [span], engine)
  var loss = 0.0
  for first in stride(from: 0, to: tokens.count - 1, by: 64) {
    let logits = language.logits(hidden.rows(first..<min(tokens.count - 1, first + 64)), engine)
    logits.withValues { values in
      for row in 0..<logits.rows {
        let place = UnsafeBufferPointer(start: values + row * logits.columns, count: logits.columns)
        let top = place.max() ?? 0
        let total = place.reduce(0.0) { $0 + exp(Double($1 - top)) }
        loss += log(total) - Double(place[Int(tokens[first + row + 1])] - top)
      }
    }
  }
  return loss
}
