import CKernels
import Testing

@testable import Speculation

/// A machine and a pair of models with known costs, in place of real ones.
private struct World {
  let name: String
  /// Milliseconds of a pass by its rows: 1, 2, 3, … ; beyond the last, by the last step.
  var pass: [Double]
  /// Milliseconds of a thousand cached tokens, and of each row's work on them.
  var cached = 0.3
  var cachedRow = 0.05
  /// Milliseconds of a draft step, and of each answer in it.
  var step: Double
  var stepAnswer = 0.3
  /// Milliseconds that the drafter takes to read a prompt.
  var reading = 0.0
  var acceptance: Double
  /// Of proposals, the share that the drafter is in doubt of; of those, half stand.
  var doubted = 0.0
  var records: Int
  var promptTokens = 100
  var answerTokens = 120
  /// How much longer or shorter an answer may be, as a share of them.
  var spread = 0.0
  var most: Int
  /// How far a measured pass may be off, as a share of it.
  var noise = 0.03
  /// How many times as long everything takes in every other spell or so, and the seconds of a spell.
  var slowdown = 1.0
  var spell = 1.5
  /// Of a row beyond the passes that are listed, nil for the last step.
  var furtherRow: Double?
  /// Of a row beyond 48, nil for a further one; and what it becomes after a tenth of the run.
  var distantRow: Double?
  var laterDistantRow: Double?

  func seconds(_ load: Scheduler.Load, isLater: Bool) -> Double {
    let rows = Int(load.total)
    let last = pass.count - 1
    let further = furtherRow ?? pass[last] - pass[last - 1]
    let distant = Double(max(0, rows - 48)) * ((isLater ? laterDistantRow : nil) ?? distantRow ?? further)
    let base =
      rows <= pass.count ? pass[rows - 1] : pass[last] + Double(min(48, rows) - pass.count) * further + distant
    return (base + Double(load.cached) / 1000 * (cached + cachedRow * load.total / Double(load.answers))) / 1000
  }

  func draftSeconds(_ answers: Int) -> Double { (step + stepAnswer * Double(answers)) / 1000 }

  /// Tokens a second over all records. nil chooses.
  ///
  /// - Parameters:
  ///   - disturbed: rounds that something else holds up, which is measured and not counted.
  ///   - seed: of the spells in which the machine is slow, which are measured and not counted either.
  func run(
    inFlight: Int?, gamma: Int?, disturbed: ClosedRange<UInt64> = 0...0, seed: UInt64 = 0
  ) -> (rate: Double, summary: String) {
    var scheduler = Scheduler()
    var waiting = records
    var live: [(tokens: Int, isRead: Bool, end: Int)] = []
    var (time, clock, tokens, draws, rounds) = (0.0, 0.0, 0, UInt64(0), UInt64(0))
    func happens(_ chance: Double) -> Bool {
      draws += 1
      return Double(mp_mix(7 + seed, draws) >> 11) * 0x1p-53 < chance
    }
    /// What is proposed for an answer, and how many of the first of it stand.
    func proposals(_ plan: DraftPlan) -> (guesses: [Guess], standing: Int) {
      var (guesses, standing) = ([Guess](), 0)
      while plan.goesOn(guesses) {
        let isDoubted = happens(doubted)
        if happens(isDoubted ? 0.5 : acceptance), standing == guesses.count { standing += 1 }
        guesses.append(Guess(token: 0, probability: isDoubted ? 0.3 : 0.8))
      }
      return (guesses, standing)
    }
    while waiting > 0 || !live.isEmpty {
      var wanted = inFlight ?? scheduler.nextInFlight(most: most, fixedGamma: gamma)
      if inFlight == nil { wanted = min(wanted, live.count + Scheduler.admissions(beside: live.count)) }
      while live.count < wanted, waiting > 0 {
        let share = 1 + spread * (Double(mp_mix(seed + 11, UInt64(waiting)) % 1000) / 500 - 1)
        live.append((0, false, Int((Double(answerTokens) * share).rounded())))
        waiting -= 1
      }
      let proposed = gamma ?? scheduler.nextGamma(answers: live.count)
      let plan = gamma == nil ? scheduler.plan(proposed) : DraftPlan(most: proposed)
      let drafts = doubted > 0 ? live.map { _ in proposals(plan) } : []
      let counts = doubted > 0 ? drafts.map(\.guesses.count) : live.map { _ in proposed }
      let load = Scheduler.Load(
        answers: live.count, rows: proposed + 1, total: Double(counts.reduce(live.count, +)),
        cached: live.reduce(0) { $0 + $1.tokens + promptTokens })
      let steps = counts.max() ?? 0
      let draft = (0..<steps).reduce(0.0) { sum, step in sum + draftSeconds(counts.count { $0 > step }) }
      // Machines are never quite even. What is measured is off, the time that counts is not.
      rounds += 1
      let verify = seconds(load, isLater: tokens > records * answerTokens / 10)
      let error = 1 + noise * (Double(mp_mix(9 + seed << 20, rounds) % 1000) / 500 - 1)
      var brought: [Int] = []
      for index in live.indices {
        var count = doubted > 0 ? drafts[index].standing : 0
        while doubted == 0, count < proposed, happens(acceptance) { count += 1 }
        let taken = min(count + 1, live[index].end - live[index].tokens)
        live[index].tokens += taken
        tokens += taken
        brought.append(taken)
        if proposed > 0, !live[index].isRead {
          live[index].isRead = true
          time += reading / 1000
          scheduler.recordReading(seconds: reading / 1000)
        }
      }
      time += draft + verify
      let isSlow = mp_mix(seed, UInt64(clock / spell)) & 1 == 0
      let delay = (disturbed.contains(rounds) ? 40.0 : 1) * (isSlow ? slowdown : 1)
      clock += (draft + verify) * delay
      scheduler.record(
        load, steps: steps,
        rounds: brought.indices.map {
          Proposed(
            count: counts[$0], brought: brought[$0], guesses: gamma == nil && doubted > 0 ? drafts[$0].guesses : nil)
        }, draft: draft * delay,
        verify: verify * delay * error, isCatchingUp: false)
      for done in live where done.tokens >= done.end { scheduler.recordEnd(tokens: done.tokens) }
      live.removeAll { $0.tokens >= $0.end }
    }
    return (Double(tokens) / time, scheduler.summary(fixedGamma: gamma) ?? "")
  }
}

/// Passes as they were measured: flat while rows share the reading of the weights, then by arithmetic.
private let eightBit = [43, 44, 46, 50, 55, 63, 77, 85, 97, 98, 109, 115, 127, 136, 146, 153].map { Double($0) }
private let fourBit = [26, 28, 32, 38, 43, 48, 55, 60, 69, 71, 79, 85, 91, 96, 107, 113].map { Double($0) }

private let small = [0.11, 0.14, 0.17, 0.21, 0.26, 0.29, 0.33, 0.37, 0.42, 0.47, 0.52, 0.57, 0.62, 0.67, 0.72, 0.772]

private let worlds = [
  World(name: "one record, a good drafter", pass: eightBit, step: 3, acceptance: 0.75, records: 40, most: 1),
  World(name: "one record, a useless drafter", pass: fourBit, step: 8, acceptance: 0.1, records: 40, most: 1),
  World(name: "one record, a slow drafter", pass: eightBit, step: 40, acceptance: 0.8, records: 40, most: 1),
  World(name: "many short records", pass: fourBit, step: 3, acceptance: 0.6, records: 400, most: 64),
  World(
    name: "long pictures", pass: eightBit, cached: 3, step: 3, acceptance: 0.75, records: 64, promptTokens: 4000,
    answerTokens: 200, most: 8),
  World(
    name: "short answers, long prompts for the drafter", pass: fourBit, step: 3, reading: 150, acceptance: 0.75,
    records: 300, answerTokens: 12, most: 1),
  World(name: "memory for two", pass: eightBit, step: 3, acceptance: 0.75, records: 80, most: 2),
  World(
    name: "many records, a slow drafter", pass: eightBit, step: 40, stepAnswer: 3, acceptance: 0.8, records: 200,
    most: 64),
  World(name: "many records, a useless drafter", pass: fourBit, step: 8, acceptance: 0.1, records: 200, most: 64),
  World(
    name: "many captions by a small pair", pass: small, cached: 0.28, cachedRow: 0.03, step: 0.01, stepAnswer: 0.009,
    reading: 0.05, acceptance: 0.9, records: 600, promptTokens: 72, answerTokens: 38, most: 64),
]

/// Many captions by a small pair, as they were measured.
private let captions = World(
  name: "many captions", pass: small, cached: 0.28, cachedRow: 0.03, step: 0.01, stepAnswer: 0.009, reading: 0.05,
  acceptance: 0.9, records: 3000, promptTokens: 72, answerTokens: 38, most: 64)

/// Measurements that are off by up to 15 %, as on a machine shared with others: the more rounds there are, the less
/// that costs.
@Test func measurementsThatAreOffCostLittle() {
  var world = captions
  world.noise = 0.15
  let best = bestFixed(world)
  let auto = world.run(inFlight: nil, gamma: nil)
  #expect(auto.rate > best.rate * 0.97, "\(auto), best \(best)")
}

/// A drafter that knows when it is in doubt: where it stops then, it brings more than any fixed γ can. Among many answers,
/// whose rows share little, it is next to nothing that proposals bring.
@Test(arguments: [(1, 1.03), (64, 0.98)])
func doubtsAreWorthMoreThanAnyFixedGamma(most: Int, share: Double) {
  var world = captions
  (world.acceptance, world.doubted, world.records, world.most, world.spread) = (0.99, 0.15, 1000, most, 0.33)
  let shares = sharesOfBest(world, runs: 8)
  print("in doubt, \(most) in flight: \(shares)")
  #expect(shares.all.allSatisfy { $0 > share }, "\(shares)")
}

/// A machine that is slow for seconds at a time, where few answers at once and very many are both better than some: what
/// was measured in a slow spell is not held against a choice for good.
@Test(arguments: [0.04, 0.052, 0.06])
func slowSpellsCostLittle(furtherRow: Double) {
  var world = captions
  (world.spread, world.noise, world.slowdown, world.furtherRow) = (0.33, 0.05, 1.3, furtherRow)
  let shares = sharesOfBest(world)
  print("a further row \(furtherRow): \(shares)")
  #expect(shares.mean > 0.985 && shares.all.allSatisfy { $0 > 0.95 }, "\(shares)")
}

/// A machine that computes very many rows faster each than some: many answers at once are best by up to 6 %, though a
/// few seem better than some.
@Test(arguments: [0.04, 0.0415, 0.043])
func manyAnswersAreTriedWhereFewSeemAsGood(distantRow: Double) {
  var world = captions
  (world.acceptance, world.records, world.spread, world.noise) = (0.92, 1200, 0.33, 0.05)
  (world.furtherRow, world.distantRow) = (0.052, distantRow)
  let shares = sharesOfBest(world)
  print("a distant row \(distantRow): \(shares)")
  #expect(shares.mean > 0.98 && shares.all.allSatisfy { $0 > 0.96 }, "\(shares)")
}

/// A machine that computes many rows faster once something else has left it: a long run tries many answers again.
@Test func aLongRunNoticesThatManyAnswersHaveBecomeBest() {
  var world = captions
  (world.acceptance, world.records, world.spread, world.noise) = (0.92, 30_000, 0.33, 0.05)
  (world.distantRow, world.laterDistantRow) = (0.06, 0.032)
  let (few, many) = (world.run(inFlight: 4, gamma: 1).rate, world.run(inFlight: 64, gamma: 2).rate)
  let rates = (1...6).map { world.run(inFlight: nil, gamma: nil, seed: $0).rate }
  print("many become best: \(rates), few \(few), many \(many)")
  #expect(many > few * 1.08 && rates.allSatisfy { $0 > 0.97 * many }, "\(rates) of \(many), few \(few)")
}

/// Rounds that are held up while more and more answers are tried: those that were never reached are tried later.
@Test func answersThatADisturbanceKeptFromBeingTriedAreTriedLater() {
  var world = captions
  (world.acceptance, world.spread, world.noise) = (0.92, 0.33, 0.05)
  (world.furtherRow, world.distantRow) = (0.052, 0.036)
  let many = world.run(inFlight: 64, gamma: 2).rate
  let shares = (UInt64(7)...14).flatMap { first in
    (UInt64(1)...5).map {
      world.run(inFlight: nil, gamma: nil, disturbed: first...first + $0, seed: 1).rate / many
    }
  }
  #expect(shares.allSatisfy { $0 > 0.97 }, "\(shares.sorted())")
}

/// What is chosen in some runs, as shares of the best fixed choice.
private func sharesOfBest(_ world: World, runs: UInt64 = 24) -> (mean: Double, all: [Double], best: String) {
  let best = bestFixed(world)
  let shares = (1...runs).map { world.run(inFlight: nil, gamma: nil, seed: $0).rate / best.rate }
  return (shares.reduce(0, +) / Double(shares.count), shares.sorted(), best.name)
}

private func bestFixed(_ world: World) -> (rate: Double, name: String) {
  var best = (rate: 0.0, name: "")
  for inFlight in [1, 2, 4, 8, 16, 32, 64] where inFlight <= world.most {
    for gamma in 0...8 {
      let rate = world.run(inFlight: inFlight, gamma: gamma).rate
      if rate > best.rate { best = (rate, "\(inFlight) in flight, γ \(gamma)") }
    }
  }
  return best
}

@Test(arguments: worlds.indices)
private func whatItChoosesIsNearlyTheBestFixedChoice(index: Int) {
  let world = worlds[index]
  let best = bestFixed(world)
  let auto = world.run(inFlight: nil, gamma: nil)
  print("\(world.name): auto \(auto.rate), best \(best); \(auto.summary)")
  // Finding out costs something, the more the shorter a run is.
  #expect(auto.rate > best.rate * 0.98, "\(world.name): \(auto), best \(best)")
}

/// Whatever round the system interrupts, or how many of the first, what was measured then is not believed for long.
@Test(arguments: (1...12).map { $0...$0 } + (2...10).map { 1...$0 } + [3...4, 3...6, 4...8])
func disturbedRoundsAreForgotten(rounds: ClosedRange<UInt64>) {
  let world = World(
    name: "a small pair", pass: [0.11, 0.125, 0.14, 0.155, 0.168, 0.18, 0.2, 0.22, 0.24], cached: 0, cachedRow: 0,
    step: 0.018, stepAnswer: 0, acceptance: 0.87, records: 100, answerTokens: 40, most: 1)
  let best = (0...8).map { world.run(inFlight: 1, gamma: $0).rate }.max() ?? 0
  let auto = world.run(inFlight: 1, gamma: nil, disturbed: rounds)
  #expect(auto.rate > 0.97 * best, "\(auto.rate) of \(best): \(auto.summary)")
}

@Test func aFitFindsWhatThingsCost() {
  var fit = CostFit(count: 3)
  for round in 0..<200 {
    let amounts = [1, Double(round % 7), Double(round % 3)]
    fit.add(amounts, cost: 5 + 2 * amounts[1], kind: round % 21)
  }
  #expect(abs(fit.cost([1, 4, 0]) - 13) < 0.1 && abs(fit.shares[2]) < 0.05)
  // What costs less the more there is of it is taken to be free.
  var odd = CostFit(count: 2)
  for round in 0..<50 { odd.add([1, Double(round % 5)], cost: 10 - Double(round % 5), kind: round % 5) }
  #expect(odd.shares.allSatisfy { $0 >= 0 })
}

/// Kinds of a group are off the shares together: what some of them showed counts for one that was never measured.
@Test func aGroupIsMissedByAsMuch() {
  var fit = CostFit(count: 2)
  for round in 0..<400 {
    let rows = Double(1 + round % 6)
    fit.add([1, rows], cost: 5 + 2 * rows, kind: round % 6, group: 1)
    if rows != 5 { fit.add([1, rows], cost: 1.2 * (5 + 2 * rows), kind: 10 + round % 6, group: 2) }
  }
  let (usual, dearer) = (fit.cost([1, 5], group: 1), fit.cost([1, 5], group: 2))
  #expect(abs(usual - 15) < 0.3 && abs(dearer - 18) < 0.36, "\(usual), \(dearer)")
  #expect(fit.cost([1, 5], group: 3) == fit.cost([1, 5]))
}

/// First proposals that stand seldom and later ones that stand nearly always are told apart, and what no round has tried
/// is taken to be as all others.
@Test func proposalsAreCountedByTheirPlace() {
  let chances = [0.5, 0.95, 0.8]
  var acceptance = AcceptanceByPosition()
  var draws = UInt64(0)
  for _ in 0..<2000 {
    let brought = (0..<8).map { _ in
      var count = 0
      while count < 3, Double(mp_mix(3, draws) >> 11) * 0x1p-53 < chances[count] {
        (count, draws) = (count + 1, draws + 1)
      }
      draws += 1
      return count + 1
    }
    acceptance.add(proposed: brought.map { _ in 3 }, brought: brought)
  }
  #expect(abs(acceptance.tokensARound(1) - 1.5) < 0.05)
  #expect(abs(acceptance.tokensARound(3) - (1 + 0.5 + 0.475 + 0.38)) < 0.08)
  #expect(acceptance.tokensARound(4) > acceptance.tokensARound(3) + 0.2)
  #expect(acceptance.tokensARound(20) < 5)
}

/// A proposal that stands and ends the answer brings no token of the target's own.
@Test func whatEndsAnAnswerBringsNothingFurther() {
  var acceptance = AcceptanceByPosition()
  for _ in 0..<500 { acceptance.add(proposed: [2], brought: [1]) }
  #expect(acceptance.tokensARound(2) < 1.05)
}
