/// What each cell of a picture shows, as class numbers to learn from: cells row after row.
///
/// A cell belongs to the object that covers most of it, where that is a sixteenth of it at least, as some
/// of every object is; else to the background, whose class is 0.
package struct LabelGrid: Sendable {
  /// 1 + shape * 9 + colour, numbered as `Shape` and `Colour` list them: 73 classes.
  package let objects: [Int]
  /// 1 + texture * 2 + size, numbered as `Texture` and `ObjectSize` list them: 9 classes.
  package let textures: [Int]

  /// The class of an object's shape and colour.
  package static func code(_ shape: Shape, _ colour: Colour) -> Int {
    1 + shape.number * Colour.allCases.count + colour.number
  }

  /// The class of an object's texture and size.
  package static func code(_ texture: Texture, _ size: ObjectSize) -> Int {
    1 + texture.number * ObjectSize.allCases.count + size.number
  }

  /// How much of each cell each object covers.
  struct Coverage {
    /// Cells a side.
    let cells: Int
    private let count: Int
    private var points: [Int]

    init(cells: Int, objects: Int) {
      self.cells = cells
      count = objects
      points = [Int](repeating: 0, count: cells * cells * objects)
    }

    mutating func add(_ amount: Int, of object: Int, _ column: Int, _ row: Int) {
      points[(row * cells + column) * count + object] += amount
    }

    /// The object that covers most of a cell, and how much that is.
    func largest(in cell: Int) -> (object: Int, points: Int)? {
      (0..<count).map { ($0, points[cell * count + $0]) }.max { $0.1 < $1.1 }
    }
  }

  init(_ coverage: Coverage, of scene: Scene, pointsPerCell: Int) {
    let shown = (0..<coverage.cells * coverage.cells).map { cell -> SceneObject? in
      guard let largest = coverage.largest(in: cell), largest.points * 16 >= pointsPerCell, largest.points > 0 else {
        return nil
      }
      return scene.objects[largest.object]
    }
    objects = shown.map { $0.map { Self.code($0.shape, $0.colour) } ?? 0 }
    textures = shown.map { $0.map { Self.code($0.texture, $0.size) } ?? 0 }
  }
}
