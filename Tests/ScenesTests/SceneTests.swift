import Scenes
import Testing

@Test func aSceneDependsOnSeedAndIndexAlone() {
  let (a, b) = (Scene(seed: 3, index: 7), Scene(seed: 3, index: 7))
  #expect(a.objects.map(\.x) == b.objects.map(\.x))
}
