// swift-tools-version: 6.2
import PackageDescription

// The rooms and their arrows. Imports go one way, from the command down to the kernels:
//
//   massv-pipe ─► Stages ─┬─► Speculation ──► Models ─► Tensors ─► CKernels, COpenBLAS
//                         ├─► Images ─► CKernels (libjpeg guard), CJPEG, CPNG, CWebP
//                         ├─► Samples ─► CArchive, CLZ4, CZlib
//                         └─► Pipeline ─► PipeLanguage      (neither knows what a tensor is)

let kernelFlags: [CSetting] = [
  // Kernels are compiled optimised in debug builds too: unoptimised intrinsics are 20 times slower.
  .unsafeFlags(["-O3", "-ffp-contract=off"])
]

let package = Package(
  name: "massv-pipe",
  products: [
    .executable(name: "massv-pipe", targets: ["massv-pipe"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
  ],
  targets: [
    .executableTarget(
      name: "massv-pipe",
      dependencies: [
        "Stages", "Pipeline", "PipeLanguage", "Models",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .target(name: "PipeLanguage"),
    .target(name: "Pipeline", dependencies: ["PipeLanguage"]),
    .target(name: "Samples", dependencies: ["CArchive", "CLZ4", "CZlib"]),
    .target(name: "Images", dependencies: ["CKernels", "CPNG", "CWebP"]),
    .target(name: "Tensors", dependencies: ["CKernels", "COpenBLAS"]),
    .target(
      name: "Models",
      dependencies: ["Tensors", .product(name: "Collections", package: "swift-collections")]),
    .target(name: "Speculation", dependencies: ["Models", "Tensors"]),
    .target(
      name: "Stages",
      dependencies: ["Pipeline", "PipeLanguage", "Samples", "Images", "Models", "Speculation", "Tensors"]),
    .target(name: "CKernels", dependencies: ["CJPEG"], cSettings: kernelFlags),

    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CWebP", pkgConfig: "libwebp", providers: [.apt(["libwebp-dev"])]),
    .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
    .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

    .testTarget(name: "PipeLanguageTests", dependencies: ["PipeLanguage"]),
    .testTarget(name: "PipelineTests", dependencies: ["Pipeline", "PipeLanguage"]),
    .testTarget(name: "SamplesTests", dependencies: ["Samples"]),
    .testTarget(name: "ImagesTests", dependencies: ["Images"]),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors", "CKernels"]),
    .testTarget(name: "ModelsTests", dependencies: ["Models", "Images", "Tensors"]),
    .testTarget(name: "SpeculationTests", dependencies: ["Speculation", "Models", "Tensors"]),
    .testTarget(name: "StagesTests", dependencies: ["Stages", "Pipeline", "Samples"]),
    .testTarget(name: "HouseTests"),
  ]
)
