// swift-tools-version: 6.2
import PackageDescription

// The rooms and their arrows. Imports go one way, from the command down to the kernels:
//
//   massv-pipe ─► Stages ─┬─► Training ────┐
//                         ├─► Speculation ─┴─► Models ─► Tensors ─► CKernels
//                         ├─► Evaluation ─► Speculation
//                         ├─► Images ─► CCodecs (libjpeg, libpng, libwebp), CKernels (resize)
//                         ├─► Samples ─► CArchive, CLZ4, CZlib
//                         ├─► Scenes
//                         └─► Pipeline ─► PipeLanguage      (neither knows what a tensor is)
//
// Roofline measures Models, Tensors and the machine for `bench`. JSON stands below all that read or write it, Messages
// below all that have something to say to the user.

let cFlags: [CSetting] = [
  // C is compiled optimised in debug builds too: unoptimised vectors are 20 times slower.
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
        "Stages", "Pipeline", "PipeLanguage", "Roofline", "Models", "Tensors", "CKernels", "JSON", "Messages",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    // Measures what README states; not part of the tool.
    .executableTarget(
      name: "benchmarks",
      dependencies: [
        "Stages", "Images", "Pipeline", "PipeLanguage", "Models", "Tensors", "Speculation", "Training", "Evaluation",
        "Roofline", "CKernels", "COpenBLAS", "JSON",
      ],
      path: "Sources/Benchmarks",
      exclude: ["pillow.py", "training.py"]),
    .target(
      name: "Stages",
      dependencies: [
        "Pipeline", "PipeLanguage", "Samples", "Scenes", "Images", "Models", "Speculation", "Training", "Evaluation",
        "Tensors", "JSON", "Messages",
      ]),
    .target(name: "Pipeline", dependencies: ["Messages", "PipeLanguage"]),
    .target(name: "PipeLanguage", dependencies: ["Messages"]),
    .target(name: "Scenes"),
    .target(name: "Samples", dependencies: ["CArchive", "CLZ4", "CZlib"]),
    .target(name: "Images", dependencies: ["CCodecs", "CKernels"]),
    .target(name: "Roofline", dependencies: ["CKernels", "Models", "Tensors", "JSON"]),
    .target(name: "Training", dependencies: ["CKernels", "JSON", "Models", "Tensors"]),
    .target(name: "Evaluation", dependencies: ["CKernels", "JSON", "Speculation"]),
    .target(name: "Speculation", dependencies: ["CKernels", "Models", "Tensors"]),
    .target(
      name: "Models", dependencies: ["CKernels", "Tensors", "JSON", "Messages"], exclude: ["Families/README.md"]),
    .target(name: "Tensors", dependencies: ["CKernels", "JSON"]),
    .target(name: "JSON"),
    .target(name: "Messages"),
    .target(name: "CKernels", cSettings: cFlags),
    .target(
      name: "CCodecs", dependencies: ["CJPEG", "CPNG", "CWebP"], cSettings: cFlags),

    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CWebP", pkgConfig: "libwebpdemux", providers: [.apt(["libwebp-dev"])]),
    .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
    .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

    .testTarget(name: "PipeLanguageTests", dependencies: ["PipeLanguage"]),
    .testTarget(name: "PipelineTests", dependencies: ["Pipeline"]),
    .testTarget(name: "SamplesTests", dependencies: ["Samples"]),
    .testTarget(name: "ScenesTests", dependencies: ["Scenes"]),
    .testTarget(name: "ImagesTests", dependencies: ["Images", "Samples", "JSON"]),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors", "CKernels"]),
    .testTarget(name: "ModelsTests", dependencies: ["Models", "Tensors", "Speculation", "JSON"]),
    .testTarget(name: "TrainingTests", dependencies: ["Training", "Models", "Tensors", "CKernels", "JSON"]),
    .testTarget(name: "SpeculationTests", dependencies: ["Speculation", "CKernels", "Tensors", "JSON"]),
    .testTarget(name: "EvaluationTests", dependencies: ["Evaluation", "Speculation", "JSON"]),
    .testTarget(
      name: "StagesTests",
      dependencies: ["Stages", "Pipeline", "PipeLanguage", "Samples", "Images", "Models", "Tensors", "JSON"]),
    .testTarget(name: "CommandTests", dependencies: ["Samples", "JSON", "massv-pipe"]),
    .testTarget(name: "HouseTests", dependencies: ["Models"]),
  ]
)
