// For Android Studio: the delegate by the NDK, as a module that an app depends on. It was never run:
// see ../README.md. `make aar` makes the same library without Gradle and NDK, and reads from here.
plugins {
    id("com.android.library") version "8.7.3"
}

android {
    namespace = "io.github.keras_sparsebnn"
    compileSdk = 35
    defaultConfig {
        minSdk = 26
        consumerProguardFiles("consumer-rules.pro")
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
        externalNativeBuild { cmake { targets += "sparsebnn_delegate" } }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    externalNativeBuild {
        cmake {
            path = file("../../delegate/CMakeLists.txt")
            version = "3.22.1"
        }
    }
}

dependencies {
    // Or LiteRT 1.x, which has the same classes.
    compileOnly("org.tensorflow:tensorflow-lite-api:2.16.1")
}
