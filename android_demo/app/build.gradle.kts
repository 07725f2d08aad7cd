// tools/apk.py reads namespace, SDK levels, versions, ABIs and folders from here.
plugins {
    id("com.android.application") version "8.7.3"
}

android {
    namespace = "io.github.keras_sparsebnn.demo"
    compileSdk = 35

    defaultConfig {
        applicationId = "io.github.keras_sparsebnn.demo"
        minSdk = 26
        targetSdk = 35
        versionCode = 1
        versionName = "0.1.0"
        ndk {
            abiFilters += listOf("arm64-v8a", "x86_64")
        }
    }

    // Made by `make android-assets`: models and samples.
    sourceSets["main"].assets.srcDir("../../build/android/assets")

    androidResources {
        // Mapped into memory where they lie in the APK.
        noCompress += listOf("tflite", "json")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

dependencies {
    implementation(project(":library"))
    implementation("org.tensorflow:tensorflow-lite:2.16.1")
}
