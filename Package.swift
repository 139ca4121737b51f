// swift-tools-version: 6.2
import PackageDescription

// The rooms and their arrows. Imports go one way, from the command down to the kernels:
//
//   massv-pipe ─► Speculation ─► Models ─► Tensors ─► CKernels, COpenBLAS
//   Pipeline      (the stream graph; it does not know what a tensor is)

let kernelFlags: [CSetting] = [
  // Kernels are compiled optimised in debug builds too: unoptimised vectors are 20 times slower.
  .unsafeFlags(["-O3"])
]

let package = Package(
  name: "massv-pipe",
  products: [
    .executable(name: "massv-pipe", targets: ["massv-pipe"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0")
  ],
  targets: [
    .executableTarget(
      name: "massv-pipe",
      dependencies: [
        "Models", "Tensors", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .target(name: "Pipeline"),
    .target(name: "Tensors", dependencies: ["CKernels", "COpenBLAS"]),
    .target(name: "Models", dependencies: ["Tensors"]),
    .target(name: "Speculation", dependencies: ["CKernels", "Models", "Tensors"]),
    .target(name: "CKernels", cSettings: kernelFlags),
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),

    .testTarget(name: "PipelineTests", dependencies: ["Pipeline"]),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors", "CKernels"]),
    .testTarget(name: "ModelsTests", dependencies: ["Models", "Tensors", "Speculation"]),
    .testTarget(name: "SpeculationTests", dependencies: ["Speculation", "CKernels", "Tensors"]),
    .testTarget(name: "HouseTests"),
  ]
)
