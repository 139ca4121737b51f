/// Standings as the page's parts ask for them.
struct Findings {
  /// Tasks that have figures of their own; those beyond are in the lines alone.
  static let figuredTasks = 6

  let standings: [Standing]
  /// The γ at which methods are compared.
  let gamma: Int
  /// Captions first, the others in the order of the lines.
  let tasks: [String]
  /// From the lowest on.
  let temperatures: [Double]

  init(_ standings: [Standing], gamma: Int) {
    self.standings = standings
    self.gamma = gamma
    var tasks: [String] = []
    var seen: Set<String> = []
    for standing in standings where seen.insert(standing.task).inserted { tasks.append(standing.task) }
    self.tasks = tasks.filter { $0 == "captions" } + tasks.filter { $0 != "captions" }
    temperatures = Set(standings.map(\.setting.temperature)).sorted()
  }

  /// What figures show first of each task.
  var coolest: Double { temperatures.first ?? 0 }

  /// A task at a temperature.
  struct Place {
    let task: String
    let temperature: Double

    /// Its name over a figure.
    var title: String { "\(NumberText.cut(task, 40)), T = \(NumberText.short(temperature))" }
  }

  /// The tasks that figures show, each at the lowest temperature.
  var places: [Place] { tasks.prefix(Self.figuredTasks).map { Place(task: $0, temperature: coolest) } }

  /// The first task at each temperature.
  var firstPlaces: [Place] {
    tasks.prefix(1).flatMap { task in temperatures.prefix(4).map { Place(task: task, temperature: $0) } }
  }

  /// The lines of a place, in their order.
  func standings(at place: Place) -> [Standing] {
    standings.filter { $0.task == place.task && $0.setting.temperature == place.temperature }
  }

  /// Those that draft at the γ of the comparison.
  func comparable(at place: Place) -> [Standing] {
    standings(at: place).filter { $0.setting.method != Setting.plain && $0.setting.gamma == gamma }
  }
}

extension Standing {
  /// γ as it is written.
  var gammaText: String {
    setting.method == Setting.plain ? NumberText.none : setting.gamma.map(String.init) ?? "auto"
  }
}
